/* What the bot says of itself, and why it takes no entries. */

const GRAVE = new Set(["halt", "error", "reconciliation", "orders", "loss"]);

export const grave = ({ gate }) => GRAVE.has(gate);

/* `open`, `open except AAPL`, or the gravest gate; a dash before the bot's first word. */
export function entryWords(health) {
  if (!health) return "–";
  const gates = health.gates ?? [];
  const first = gates.find(({ symbol }) => symbol === null);
  if (first) return `closed: ${first.gate}`;
  if (health.state !== "running") return "closed";
  const symbols = [...new Set(gates.map(({ symbol }) => symbol))];
  return symbols.length ? `open except ${symbols.join(", ")}` : "open";
}

/* What has changed between two reports, for the log: `[mood, text]`, the gravest last. */
export function gateNews(before, after) {
  const key = ({ gate, symbol, reason }) => JSON.stringify([gate, symbol, reason]);
  const known = new Set((before?.gates ?? []).map(key));
  const now = new Set((after.gates ?? []).map(key));
  const place = ({ symbol }) => (symbol ? `${symbol}, ` : "");
  const closed = (after.gates ?? []).filter((gate) => !known.has(key(gate)));
  const opened = (before?.gates ?? []).filter((gate) => !now.has(key(gate)));
  return [
    ...opened.map((gate) => ["good", `opened: ${place(gate)}${gate.gate}`]),
    ...closed.reverse().map((gate) => [grave(gate) ? "bad" : "wait", `no entries: ${place(gate)}${gate.reason}`]),
  ];
}
