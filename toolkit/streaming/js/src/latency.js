import { Histogram, RecentHistogram } from "./histogram.js";

const SAMPLES = 8;
const STEP_MS = 50;
const WINDOW_MS = 60_000;
const FRACTION = 19; // where "2026-01-02T14:30:00" ends

/* The server's clock as seen from here: NTP over `ping`. Times in milliseconds; of the last
 * eight samples the one with the least round trip counts. */
export class ServerClock {
  constructor() {
    this.restart();
  }

  restart() {
    this._samples = [];
    this.estimate = null;
  }

  get count() {
    return this._samples.length;
  }

  get full() {
    return this.count === SAMPLES;
  }

  /* Enough samples for the best of them to be good. */
  get settled() {
    return this.count >= SAMPLES / 2;
  }

  /* Count one ping: sent and received by our clock, the middle two by the server's. Returns its
   * own estimate; null for times that cannot be: a clock was set in between. */
  add(sent, serverReceived, serverSent, received) {
    const roundTrip = received - sent - (serverSent - serverReceived);
    if (!Number.isFinite(roundTrip) || serverSent < serverReceived || roundTrip < 0) return null;
    const offset = (serverReceived - sent + (serverSent - received)) / 2;
    const sample = { offsetMs: offset, uncertaintyMs: roundTrip / 2 };
    this._samples = [...this._samples.slice(1 - SAMPLES), sample];
    this.estimate = this._samples.reduce((a, b) => (b.uncertaintyMs < a.uncertaintyMs ? b : a));
    return sample;
  }
}

/* Wall time of high resolution that nobody sets; `stepped` tells once that the computer's clock
 * left it, as it does when the computer slept. */
export class SteadyWall {
  constructor(performance = globalThis.performance, date = Date) {
    this._performance = performance;
    this._date = date;
    this._ahead = this._drift();
  }

  now() {
    return this._performance.timeOrigin + this._performance.now();
  }

  stepped() {
    const before = this._ahead;
    this._ahead = this._drift();
    return Math.abs(this._ahead - before) > STEP_MS;
  }

  _drift() {
    return this._date.now() - this.now();
  }
}

/* One-way latency of live messages by the server's clock, of about the last minute, in ms. No
 * snapshots, and nothing that was published before its stream was confirmed. */
export class LatencyMeter {
  constructor({ wall }) {
    this.clock = new ServerClock();
    this._wall = wall;
    this._streams = new Map();
    this._since = new Map();
    this._current = null;
    this._second = "";
    this._secondMs = NaN;
  }

  /* Another connection, perhaps another server. */
  connected() {
    this._since.clear();
    this.clock.restart();
  }

  /* One of the two clocks was set, or the computer slept. */
  restart() {
    const now = this._wall.now();
    for (const stream of this._since.keys()) this._since.set(stream, now);
    this.clock.restart();
  }

  confirmed(stream) {
    if (!this._since.has(stream)) this._since.set(stream, this._wall.now());
  }

  /* How long a message that arrived just now was on its way; null where that says nothing. */
  of(message) {
    if (!this.clock.settled || message.snapshot) return null;
    const now = this._wall.now();
    const published = this._time(message.published) - this.clock.estimate.offsetMs;
    if (!(published >= (this._since.get(message.stream_type) ?? now))) return null;
    return Math.max(0, now - published); // below zero only within the clock's uncertainty
  }

  note(message) {
    const latency = this.of(message);
    if (latency === null) return;
    this._current = latency;
    const stream = message.stream_type;
    let histogram = this._streams.get(stream);
    if (!histogram) {
      histogram = new RecentHistogram(WINDOW_MS, () => this._wall.now());
      this._streams.set(stream, histogram);
    }
    histogram.add(this._current);
  }

  overall() {
    const merged = new Histogram();
    for (const histogram of this._streams.values()) histogram.addTo(merged);
    return merged.summary();
  }

  byStream() {
    return Object.fromEntries([...this._streams].map(([stream, histogram]) => {
      const merged = new Histogram();
      histogram.addTo(merged);
      return [stream, merged.summary()];
    }));
  }

  /* What `ping` tells the server, undefined when nothing was measured. */
  report() {
    const { count, p50, p95, p99, max } = this.overall();
    return count ? { count, p50, p95, p99, max } : undefined;
  }

  /* What `latency_update` carries; `current` is the latest message's, before the first half the
   * round trip. */
  update(roundTripMs, target) {
    const { count, average, p50, p95, p99, max } = this.overall();
    const current = this._current ?? roundTripMs / 2;
    return {
      current, average, p50, p95, p99, max, count, target,
      ok: (count ? p99 : current) <= target,
      roundTripMs,
      offsetMs: this.clock.estimate?.offsetMs ?? null,
      uncertaintyMs: this.clock.estimate?.uncertaintyMs ?? null,
    };
  }

  /* RFC 3339 in UTC as milliseconds, with the microseconds that Date.parse leaves out. */
  _time(text) {
    if (typeof text !== "string") return NaN;
    const second = text.slice(0, FRACTION);
    if (second !== this._second) {
      this._second = second;
      this._secondMs = Date.parse(`${second}Z`);
    }
    const fraction = text.slice(FRACTION, -1);
    return this._secondMs + (fraction ? Number(`0${fraction}`) * 1000 : 0);
  }
}
