// npm's socket.io-client as an outside program: connects, subscribes, prints every event as one
// line of JSON, and leaves when its stdin ends.
//
//   node stock_client.mjs '{"url": ..., "token": ..., "subscribe": {stream_types, symbols}}'

import { io } from "socket.io-client";

const { url, token, subscribe } = JSON.parse(process.argv[2]);
const print = (event, data) => process.stdout.write(JSON.stringify({ event, data }) + "\n");
const socket = io(url, { auth: { token }, transports: ["websocket"], reconnection: false });

socket.onAny(print);
socket.on("connect", async () => {
  print("ready", await socket.emitWithAck("subscribe", subscribe));
});
socket.on("connect_error", (error) => {
  print("refused", { message: error.message, data: error.data });
  process.exitCode = 1;
  process.stdin.destroy();
});
socket.on("disconnect", () => process.stdin.destroy());

const leave = async () => {
  await socket.emitWithAck("ping", { timestamp: 0 }); // what was sent before has arrived
  socket.disconnect();
};
process.stdin.resume();
process.stdin.once("end", leave);
