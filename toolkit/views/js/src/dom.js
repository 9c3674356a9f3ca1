// Small pieces of the page around the drawing. Text goes in as text, never as markup.
import { compact, fixed, signed } from "./format.js";
import { get } from "./store.js";

export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function labelled(label, value, className = "") {
  const span = element("span", className);
  span.append(element("span", "tk-label", label), value);
  return span;
}

const STATES = {
  connected: "Live",
  connecting: "Connecting",
  disconnected: "Disconnected",
  closed: "Closed",
};

/** Return the badge's text; `silence` is how long the kernel has said nothing, in seconds. */
export function stateText(state, silence) {
  if (silence !== null) return `No news for ${silence} s`;
  return STATES[state] ?? state;
}

/** Return the legend of the price pane for one bar; `before` is the bar to its left. */
export function priceLegend(row, before, digits, labels) {
  const price = (name) => fixed(get(row, name), digits);
  const base = before ? get(before, "close") : get(row, "open");
  const change = get(row, "close") - base;
  const percent = (100 * change) / base;
  const tone = change < 0 ? "tk-fall" : "tk-rise";
  return [
    labelled("O", price("open"), "tk-wide"),
    labelled("H", price("high"), "tk-wide"),
    labelled("L", price("low"), "tk-wide"),
    labelled("C", price("close")),
    element("span", tone, `${signed(change, digits)} (${signed(percent, 2)}%)`),
    labelled("Vol", compact(get(row, "volume")), "tk-roomy"),
    labelled(`EMA ${labels.ema}`, price("ema"), "tk-ema"),
  ];
}

/** Return the legend of the StochRSI pane for one bar. */
export function momentumLegend(row, labels) {
  return [
    element("span", "tk-label", `StochRSI ${labels.stoch_rsi}`),
    labelled("K", fixed(get(row, "k"), 1), "tk-k"),
    labelled("D", fixed(get(row, "d"), 1), "tk-d"),
  ];
}

/** Return the badge of a position and what it is worth at `price`; nothing while flat. */
export function holdingBadge(position, price, digits) {
  if (!position) return [];
  const gain = (price - position.entry_price) * position.quantity;
  const size = Math.abs(position.quantity).toLocaleString("en-US", { maximumFractionDigits: 8 });
  return [
    element("span", "", position.quantity > 0 ? "Long" : "Short"),
    element("span", "tk-wide", `${size} @ ${fixed(position.entry_price, digits)}`),
    element("span", gain < 0 ? "tk-fall" : "tk-rise", signed(gain, 2)),
  ];
}

/** Return one line about a corrected bar; nothing about another. */
export function correctionText(correction) {
  if (!correction) return "";
  const late = correction > 1 ? "; the bot had decided on the first version" : "";
  return `Corrected by the feed${late}`;
}

/** Return what stands in the header while entries are kept out, and all the reasons. */
export function gateWords(gates) {
  if (!gates.length) return { text: "", all: "" };
  const [first] = gates;
  const more = gates.length > 1 ? ` (+${gates.length - 1})` : "";
  const when = (gate) => new Date(gate.since * 1000).toISOString().slice(0, 19).replace("T", " ");
  const all = gates.map((gate) => `${gate.title}: ${gate.reason}, since ${when(gate)} UTC`);
  return { text: `No entries${more}: ${first.reason}`, all: all.join("\n") };
}

/** Return one line for a fill: what was done, at which price, and why. */
export function fillText(fill, digits) {
  const done = fill.side === "buy" ? "Bought" : "Sold";
  const size = fill.quantity.toLocaleString("en-US", { maximumFractionDigits: 8 });
  return `${done} ${size} @ ${fixed(fill.price, digits)} · ${fill.reason.replaceAll("_", " ")}`;
}
