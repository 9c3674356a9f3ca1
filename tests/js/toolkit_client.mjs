// Our JavaScript client in Node: subscribes as told, prints every event as one line of JSON, and
// leaves when its stdin ends.
//
//   node toolkit_client.mjs '{"url": ..., "token": ..., "streams": [...], "symbols": [...]}'

import WebSocket from "ws";
import { TradingBotWebSocketClient } from "../../toolkit/streaming/js/src/index.js";

const { url, token, streams, symbols } = JSON.parse(process.argv[2]);
const print = (event, data) => process.stdout.write(JSON.stringify({ event, data }) + "\n");
const client = new TradingBotWebSocketClient(url, {
  WebSocket, token, reconnectAttempts: 20, reconnectDelay: 20, latencyTarget: 50, pingInterval: 100,
});

for (const event of [
  "connected", "disconnected", "stream_data", "stream_positions", "symbol_AAPL", "latency_update",
  "performance_stats", "gap", "error", "heartbeat",
]) {
  client.on(event, (data) => print(event, data));
}
client.on("stream_positions", () => { throw new Error("a handler that raises"); });

await client.subscribe(["nonsense"]).catch((error) => print("rejected", error));
await client.command("flatten").catch((error) => print("rejected", error));
print("subscribed", await client.subscribe(streams, symbols));

process.stdin.resume();
process.stdin.once("end", () => client.disconnect());
