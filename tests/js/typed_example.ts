// Compiled by the tests with `tsc --noEmit --strict`: what a user writes must have types, and
// what cannot be right must not pass.
import { TradingBotError, TradingBotWebSocketClient } from "stochrsi-toolkit-client";
import type { Bar, Confirmation, Data, Gap, GateName, Health, MarketData, Message, Order } from "stochrsi-toolkit-client";

const client = new TradingBotWebSocketClient("http://localhost:9765", {
  token: async () => "fresh",
  reconnectAttempts: Infinity,
  reconnectDelay: 500,
  latencyTarget: 50,
});

const prices = new Map<string, number>();
const remove = client.on("stream_market_data", (message) => prices.set(message.data.symbol, message.data.price));
client.on("symbol_BTC/USD", (message: Message) => console.log(message.seq.toFixed(0)));
client.on("latency_update", ({ current, p99, ok }) => console.log(current.toFixed(1), p99?.toFixed(1), ok));
client.on("gap", (gap: Gap) => console.log(gap.from, gap.to ?? "?"));
client.on("error", (error) => error instanceof TradingBotError && console.log(error.code, error.data["field"]));
remove();

const confirmed: Promise<Confirmation> = client.subscribe(["market_data", "orders"], ["AAPL"], { maxRate: 10 });
const parameters = client.command<{ values: Record<string, number> }>("get_parameters");
export const values = parameters.then((found) => found.values["ema.ema_period"] ?? 0);
export const halted: Promise<{ health: Health }> = client.command("halt", { flatten: true, reason: "a drill" });
export const why = (health: Health): GateName[] => health.gates.map(({ gate }) => gate);
const isHealth = (data: Data): data is Health => data.kind === "health";
client.on("stream_system_health", ({ data }) => isHealth(data) && console.log(why(data), data.feed.last_message));
export const open = ({ status }: Order): boolean => status === "unknown" || status === "pending";
export const late = (corrected: Bar): boolean => corrected.revision > 0 && corrected.decided === true;
export const bar: MarketData = { kind: "bar", symbol: "AAPL", price: 1 };
export default confirmed;

// @ts-expect-error streams are a list
void client.subscribe("market_data");
// @ts-expect-error there is no such stream
void client.subscribe(["prices"]);
// @ts-expect-error there is no such command
void client.command("halted");
// @ts-expect-error there is no such event
client.on("conected", () => undefined);
// @ts-expect-error a gap has no data
client.on("gap", (gap) => gap.data);
// @ts-expect-error seconds are not written as text
new TradingBotWebSocketClient("http://localhost:9765", { reconnectDelay: "500" });
