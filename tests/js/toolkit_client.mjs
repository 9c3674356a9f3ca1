// Our JavaScript client in Node, over npm's socket.io-client: subscribes as told, prints every
// event as one line of JSON, and leaves when its stdin ends.
//
//   node toolkit_client.mjs '{"url": ..., "token": ..., "streams": [...], "symbols": [...]}'

import { createRequire } from "node:module";
import { io } from "socket.io-client";

const require = createRequire(import.meta.url);
const { TradingBotWebSocketClient } = require("../../toolkit/streaming/static/websocket_client.js");

const { url, token, streams, symbols } = JSON.parse(process.argv[2]);
const print = (event, data) => process.stdout.write(JSON.stringify({ event, data }) + "\n");
const client = new TradingBotWebSocketClient(url, {
  io, token, reconnectAttempts: 20, reconnectDelay: 20, latencyTarget: 50, pingInterval: 100,
});

let first = true;
client.on("connected", async (hello) => {
  print("connected", hello);
  if (!first) return;
  first = false;
  await client.subscribe(["nonsense"]).catch((error) => print("rejected", error));
  print("subscribed", await client.subscribe(streams, symbols));
});
for (const event of [
  "disconnected", "stream_data", "stream_positions", "symbol_AAPL", "latency_update",
  "performance_stats", "gap", "error", "heartbeat",
]) {
  client.on(event, (data) => print(event, data));
}
client.on("stream_positions", () => { throw new Error("a handler that raises"); });

process.stdin.resume();
process.stdin.once("end", () => client.disconnect());
