const LOSSLESS = new Set(["orders", "signals", "positions", "account", "parameters"]);

/* What has arrived: drops duplicates, sees what is missing, knows where to resume. The Python
 * client's Tracker does the same; tests/tracker_vectors.json holds both to it. */
export class Tracker {
  constructor() {
    this.epoch = null;
    this._clear();
  }

  /* Note the epoch of a new connection. Returns a gap for each stream whose later messages of
   * another epoch are lost: the server says so only once, and that may be lost itself. */
  start(epoch) {
    if (epoch === this.epoch) return [];
    const lost = [...this._newest].map(([stream, seq]) => gapOf(stream, seq + 1, null, "restart"));
    this.epoch = epoch;
    this._clear();
    this._restarted = new Set(lost.map((gap) => gap.stream));
    return lost;
  }

  /* Note from where a subscription delivers everything: `{stream: number}`. */
  confirm(seq) {
    for (const [stream, number] of Object.entries(seq)) this._complete(stream, number);
  }

  /* Note the ack of a subscription; its confirmation may still be behind other messages. */
  answered(seq) {
    for (const [stream, number] of Object.entries(seq)) {
      if (!this._newest.has(stream)) this._newest.set(stream, number);
    }
  }

  /* Note a gap that the server announced; returns whether it is news. */
  announced(gap) {
    if (gap.to === null) return !this._restarted.has(gap.stream);
    this._complete(gap.stream, gap.to);
    return true;
  }

  /* `fresh`: it is news; `gap`: what is missing before it; `skipped`: values that replace each
   * other were left out before it. */
  accept(message) {
    const { stream_type: stream, symbol, seq, prev, snapshot, epoch } = message;
    if (!Number.isInteger(seq) || !Number.isInteger(prev)) throw new TypeError("no number");
    if (epoch !== this.epoch) return STALE;
    const key = `${stream} ${symbol ?? ""}`;
    const last = this._last.get(key) ?? 0;
    if (seq <= last && !snapshot) return STALE;
    this._last.set(key, Math.max(last, seq));
    this._advance(stream, seq);
    const known = Math.max(last, this._floor.get(stream) ?? 0);
    if (snapshot || prev <= known) return FRESH;
    if (!LOSSLESS.has(stream)) return SKIPPED;
    return { fresh: true, gap: gapOf(stream, known + 1, prev, "missing"), skipped: false };
  }

  /* What a new connection sends in order to resume; null before the first. */
  lastSeen() {
    if (this.epoch === null) return null;
    return { epoch: this.epoch, seq: Object.fromEntries(this._newest) };
  }

  /* Do not resume `stream`: it was unsubscribed. */
  forget(stream) {
    this._newest.delete(stream);
  }

  _clear() {
    this._last = new Map();
    this._floor = new Map();
    this._newest = new Map();
    this._restarted = new Set();
  }

  _complete(stream, number) {
    this._floor.set(stream, Math.max(this._floor.get(stream) ?? 0, number));
    this._advance(stream, number);
  }

  _advance(stream, seq) {
    if (seq > (this._newest.get(stream) ?? -1)) this._newest.set(stream, seq);
  }
}

const STALE = Object.freeze({ fresh: false, gap: null, skipped: false });
const FRESH = Object.freeze({ fresh: true, gap: null, skipped: false });
const SKIPPED = Object.freeze({ fresh: true, gap: null, skipped: true });

function gapOf(stream, from, to, reason) {
  return { stream, from, to, reason };
}
