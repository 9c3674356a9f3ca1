// Numbers and times as people read them.

export const ZONES = {
  UTC: { label: "UTC", timeZone: "UTC" },
  exchange: { label: "New York", timeZone: "America/New_York" },
  local: { label: "Local", timeZone: undefined },
};

const TIME = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const TICKS = [
  { year: "numeric" },
  { month: "short" },
  { day: "numeric", month: "short" },
  TIME,
  { ...TIME, second: "2-digit" },
];

/** Return formatters of epoch seconds in one zone: `full` for the crosshair, `tick` for the axis. */
export function clock(zone) {
  const { timeZone, label } = ZONES[zone] ?? ZONES.UTC;
  const make = (options) => new Intl.DateTimeFormat("en-GB", { ...options, timeZone });
  const full = make({ weekday: "short", day: "2-digit", month: "short", year: "numeric", ...TIME });
  const ticks = TICKS.map(make);
  return {
    full: (seconds) => `${full.format(seconds * 1000)} ${label}`,
    tick: (seconds, kind) => (ticks[kind] ?? ticks[3]).format(seconds * 1000),
  };
}

/** Return how many decimals the prices carry, from 2 up to what their size makes sensible. */
export function decimals(prices) {
  const most = Math.max(0, ...prices.map(Math.abs));
  const limit = most >= 1000 ? 2 : most >= 1 ? 4 : 8;
  for (let digits = 2; digits < limit; digits++) {
    const scale = 10 ** digits;
    if (prices.every((p) => Math.abs(Math.round(p * scale) / scale - p) < 1e-9)) return digits;
  }
  return limit;
}

export const fixed = (value, digits) =>
  value == null ? "–" : value.toLocaleString("en-US", digitsOf(digits)).replace("-", "−");

export const signed = (value, digits) => (value > 0 ? "+" : "") + fixed(value, digits);

export const compact = (value) =>
  value == null ? "–" : Intl.NumberFormat("en-US", COMPACT).format(value);

/** Return the usual distance of the bars in words: `1m`, `15m`, `1h`, `1d`. */
export function timeframe(times) {
  const steps = times.slice(1).map((time, i) => time - times[i]);
  if (!steps.length) return "";
  const seconds = Math.min(...steps);
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.round(seconds / size)}${unit}`;
}

const UNITS = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
const COMPACT = { notation: "compact", maximumFractionDigits: 2 };
const digitsOf = (n) => ({ minimumFractionDigits: n, maximumFractionDigits: n });
