const BUCKET_GROWTH = 1.04;
const SMALLEST = 1e-3;
const LARGEST = 1e6;
const STEP = Math.log(BUCKET_GROWTH);
const BUCKETS = Math.ceil(Math.log(LARGEST / SMALLEST) / STEP) + 1;

/* A distribution of milliseconds in buckets that grow by 4 %: percentiles within 2 %, in bounded
 * memory. Buckets are those of the server and of the Python client. */
export class Histogram {
  constructor() {
    this.count = 0;
    this.total = 0;
    this.max = 0;
    this._buckets = new Float64Array(BUCKETS);
  }

  add(value) {
    const bucket = value <= SMALLEST ? 0 : Math.floor(Math.log(value / SMALLEST) / STEP) + 1;
    this._buckets[Math.min(bucket, BUCKETS - 1)] += 1;
    this.count += 1;
    this.total += value;
    this.max = Math.max(this.max, value);
  }

  merge(other) {
    other._buckets.forEach((count, bucket) => {
      this._buckets[bucket] += count;
    });
    this.count += other.count;
    this.total += other.total;
    this.max = Math.max(this.max, other.max);
  }

  /* The nearest-rank percentile, null when nothing was counted. */
  percentile(percent) {
    if (!this.count) return null;
    const wanted = Math.max(1, Math.ceil((percent / 100) * this.count));
    let seen = 0;
    const bucket = this._buckets.findIndex((count) => (seen += count) >= wanted);
    const middle = bucket === 0 ? SMALLEST : SMALLEST * BUCKET_GROWTH ** (bucket - 0.5);
    return Math.min(middle, this.max);
  }

  summary() {
    return {
      count: this.count,
      average: this.count ? this.total / this.count : null,
      p50: this.percentile(50),
      p95: this.percentile(95),
      p99: this.percentile(99),
      max: this.count ? this.max : null,
    };
  }
}

/* A distribution of about the last `window` to twice `window` milliseconds. */
export class RecentHistogram {
  constructor(window, now) {
    this._window = window;
    this._clock = now;
    this._since = now();
    this._now = new Histogram();
    this._before = new Histogram();
  }

  add(value) {
    this._turn();
    this._now.add(value);
  }

  addTo(other) {
    this._turn();
    other.merge(this._before);
    other.merge(this._now);
  }

  _turn() {
    const passed = this._clock() - this._since;
    if (passed < this._window) return;
    this._before = passed < 2 * this._window ? this._now : new Histogram();
    this._now = new Histogram();
    this._since = this._clock();
  }
}
