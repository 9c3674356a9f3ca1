const FIRST_PAUSE_MS = 10;
// Of these others tell: the connection is lost, or silent.
const TOLD_ELSEWHERE = ["not_connected", "timeout"];

/* Pings: the time to the server and back, its clock, and a look at the figures after each.
 * `ask(event, body, within)` sends; `measured(roundTripMs)` and `problem(error)` are told. */
export class Pulse {
  constructor({ meter, wall, interval, timeout, ask, measured, problem }) {
    this._meter = meter;
    this._wall = wall;
    this._interval = interval;
    this._timeout = timeout;
    this._ask = ask;
    this._measured = measured;
    this._problem = problem;
    this._timer = null;
    this._at = 0;
  }

  async measure(within = this._timeout) {
    this._at = this._wall.now();
    const body = { timestamp: this._at };
    const latency = this._meter.report();
    if (latency) body.latency = latency;
    const { answer, sent, received } = await this._ask("ping", body, within);
    this._meter.clock.add(sent, answer.server_received_ms, answer.server_sent_ms, received);
    this._measured(received - sent);
    return received - sent;
  }

  async soon() {
    try {
      await this.measure();
      this._again();
    } catch (error) {
      if (!TOLD_ELSEWHERE.includes(error.code)) this._problem(error);
    }
  }

  tick(now) {
    if (now - this._at >= this._interval) this.soon();
  }

  stop() {
    clearTimeout(this._timer);
  }

  /* At first often, then less and less: a page that is still loading takes its answers late, and
   * that would count as latency. */
  _again() {
    const { count, full, estimate } = this._meter.clock;
    if (!estimate || full) return;
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this.soon(), FIRST_PAUSE_MS * 2 ** count);
  }
}
