// The bars a view knows. A row is what `live_chart.py` sends:
// [time, open, high, low, close, volume, final, ema, k, d, lower band, upper band, correction]

export const COLUMNS = [
  "time", "open", "high", "low", "close", "volume", "final", "ema", "k", "d", "lower", "upper",
  "correction",
];
const AT = Object.fromEntries(COLUMNS.map((name, i) => [name, i]));

export const get = (row, name) => row[AT[name]];

/** Bars by time, oldest first; never more than `capacity`. */
export class Store {
  constructor(capacity) {
    this.capacity = capacity;
    this.rows = [];
  }

  get last() {
    return this.rows.at(-1);
  }

  /**
   * Take rows that replace or follow known ones. Returns `{from}`: the place of the first row
   * that changed, or null where nothing did; `all` says that places of older rows moved.
   */
  merge(rows) {
    let from = null;
    let all = false;
    for (const row of rows) {
      const place = this.find(get(row, "time"));
      const known = this.rows[place];
      const same = known && get(known, "time") === get(row, "time");
      if (same && row.every((value, i) => value === known[i])) continue;
      if (!same && place < this.rows.length) all = true;
      this.rows.splice(place, same ? 1 : 0, row);
      from = from === null ? place : Math.min(from, place);
    }
    if (this.rows.length > this.capacity) {
      this.rows.splice(0, this.rows.length - Math.ceil(this.capacity / 2));
      all = true;
    }
    return { from, all };
  }

  /** Take history as the truth; forgets everything where the two do not continue each other. */
  load(rows) {
    const times = new Set(rows.map((row) => get(row, "time")));
    const overlapping = this.rows.slice(rows.length ? this.find(get(rows[0], "time")) : 0);
    const continued = overlapping.length && overlapping.every((row) => times.has(get(row, "time")));
    if (!continued) this.rows = [];
    const { from, all } = this.merge(rows);
    return { from: continued ? from : 0, all: all || !continued };
  }

  /** Return the place of the first row that is not before `time`. */
  find(time) {
    let low = 0;
    let high = this.rows.length;
    if (high && get(this.last, "time") < time) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (get(this.rows[middle], "time") < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Return the bar during which something happened at `time`; undefined before the first. */
  barAt(time) {
    const place = this.find(time);
    const row = this.rows[place];
    return row && get(row, "time") === time ? row : this.rows[place - 1];
  }
}
