export { TradingBotWebSocketClient } from "./client.js";
export { TradingBotError } from "./errors.js";
