const LONGEST_MS = 30_000;
const STABLE_DELAYS = 10;
const PAUSE_GROWTH = 3;

/* When to try again, as the Python client does: each pause is drawn between `delay` and three
 * times the one before, the first between `delay` and one and a half times it. A connection that
 * lived for ten times `delay` makes it start again; one that is lost sooner does not. */
export class Backoff {
  constructor({ attempts, delay, random }) {
    this._random = random;
    this.set({ attempts, delay });
    this.restart();
  }

  set({ attempts, delay }) {
    this.attempts = attempts;
    this._delay = delay;
  }

  /* Milliseconds to wait before the next attempt; null when there is none. */
  next(atLeast = 0) {
    if (this.attempt >= this.attempts) return null;
    this.attempt += 1;
    const most = Math.max(this._delay, this._pause * PAUSE_GROWTH);
    this._pause = Math.min(this._delay + this._random() * (most - this._delay), LONGEST_MS);
    return Math.max(this._pause, Math.min(atLeast, LONGEST_MS));
  }

  lived(milliseconds) {
    if (milliseconds >= STABLE_DELAYS * this._delay) this.restart();
  }

  restart() {
    this.attempt = 0;
    this._pause = this._delay / 2;
  }
}
