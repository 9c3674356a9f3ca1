/* How things are said. */

export const STREAMS = [
  "market_data", "signals", "orders", "positions",
  "account", "system_health", "performance_metrics", "parameters",
];

export const colour = (stream) => `var(--s${Math.max(0, STREAMS.indexOf(stream))})`;

const whole = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export const count = (value) => (value < 10_000 ? whole.format(value) : short.format(value));

export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 100) return whole.format(Math.round(value));
  return value.toFixed(value >= 10 ? 1 : 2);
}

export function bytes(value) {
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)} kB`;
  return value < 1e9 ? `${(value / 1e6).toFixed(1)} MB` : `${(value / 1e9).toFixed(2)} GB`;
}

export function duration(seconds) {
  const [s, m, h] = [Math.floor(seconds) % 60, Math.floor(seconds / 60) % 60, Math.floor(seconds / 3600)];
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${s} s` : `${s} s`;
}

export const clock = (date) => date.toTimeString().slice(0, 8);

const price = (value) => (typeof value === "number" ? String(Number(value.toPrecision(9))) : "–");

/* One line about a message. */
export function describe({ data = {} }) {
  if (data.kind === "bar") return bar(data);
  if (data.kind === "gap" && "to" in data) {
    return `messages ${data.from} to ${data.to ?? "?"} will not come: ${data.reason}`;
  }
  if (data.kind === "health") return health(data);
  if (data.kind === "quote") return `quote  bid ${price(data.bid)}  ask ${price(data.ask)}`;
  const hidden = new Set(["kind", "symbol", "timestamp", "client_order_id"]);
  const facts = Object.entries(data).filter(([key, value]) => !hidden.has(key) && value !== null && value !== "");
  const told = facts.slice(0, 12).map(([key, value]) => `${key} ${plain(value)}`);
  return `${data.kind}  ${told.join("  ")}`;
}

function health({ state, reason, bars, gates = [] }) {
  const closed = gates.map(({ gate, symbol }) => (symbol ? `${gate} ${symbol}` : gate));
  const told = [reason, closed.length ? `gates ${closed.join(", ")}` : "", `bars ${bars ?? "–"}`];
  return `health  ${state}  ${told.filter(Boolean).join("  ")}`;
}

function bar({ final, open, high, low, close, indicators, revision }) {
  const k = indicators?.stoch_rsi_k;
  const rest = typeof k === "number" ? `  StochRSI ${k.toFixed(1)}` : "";
  const what = revision ? `bar, corrected (${revision})` : final ? "bar" : "forming bar";
  return `${what}  O ${price(open)}  H ${price(high)}  L ${price(low)}  C ${price(close)}${rest}`;
}

function plain(value) {
  if (typeof value === "number") return price(value);
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
