const BIN_MS = 500;
const BINS = 240;
const SAMPLES = 400;

/* Latencies in bins of half a second, two minutes of them; of each bin a fair sample is kept. */
export class Meter {
  constructor(now = () => performance.now(), random = Math.random) {
    this.bins = [];
    this._now = now;
    this._random = random;
    this._open(now());
  }

  add(latency) {
    this._seen += 1;
    if (this._sample.length < SAMPLES) {
      this._sample.push(latency);
    } else {
      const place = Math.floor(this._random() * this._seen);
      if (place < SAMPLES) this._sample[place] = latency;
    }
    this._max = Math.max(this._max, latency);
  }

  /* Close what is over; returns whether a bin was. */
  turn() {
    const now = this._now();
    if (now - this._since < BIN_MS) return false;
    this.bins.push(this._summary());
    // A page that slept has empty bins for that time.
    const slept = Math.min(BINS, Math.floor((now - this._since) / BIN_MS) - 1);
    for (let i = 0; i < slept; i += 1) this.bins.push(null);
    this.bins.splice(0, this.bins.length - BINS);
    this._open(now);
    return true;
  }

  get size() {
    return BINS;
  }

  get binMs() {
    return BIN_MS;
  }

  _open(now) {
    this._since = now;
    this._sample = [];
    this._seen = 0;
    this._max = 0;
  }

  _summary() {
    if (!this._seen) return null;
    const sorted = this._sample.sort((a, b) => a - b);
    const rank = (part) => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
    return { count: this._seen, p50: rank(0.5), p95: rank(0.95), p99: rank(0.99), max: this._max };
  }
}

/* How fast totals grow, from one look to the next, and how that was in the last minute. */
export class Rates {
  constructor(now = () => performance.now()) {
    this.history = [];
    this._now = now;
    this._at = now();
    this._before = {};
  }

  /* `{name: total}` in, `{name: a second}` out; the first named goes into the history. */
  look(totals) {
    const now = this._now();
    const seconds = Math.max(0.001, (now - this._at) / 1000);
    const entries = Object.entries(totals).map(([name, total]) => [
      name, Math.max(0, total - (this._before[name] ?? 0)) / seconds,
    ]);
    this._at = now;
    this._before = { ...totals };
    this.history = [...this.history, entries[0]?.[1] ?? 0].slice(-60);
    return Object.fromEntries(entries);
  }
}
