import { Backoff } from "./backoff.js";
import { Connection, notConnected } from "./connection.js";
import { TradingBotError } from "./errors.js";
import { onWake } from "./wake.js";

const USUAL = { reconnect_attempts: 10, reconnect_delay: 0.5 };
const TICK_MS = 1_000;
const LATE_MS = 3_000;
const WAKE_MS = 5_000;
const SILENT_BEATS = 3;
const MAX_WAITING = 1_000;

/* Keeps one connection up: dials, waits and tries again, notices silence and waking up.
 *
 * `owner` is told and asked: `auth()` gives the payload (may be a promise), `take(name, data,
 * size)` gets each event, `welcome(hello, connection)` resolves when everything is asked for
 * again; then `connected(hello)`, `disconnected(reason)`, `reconnecting(facts)`,
 * `problem(error)`, `measure(within)` sends a ping, `tick(now)` comes every second while all is
 * well, `stepped()` when the clock was set or the computer slept. */
export class Keeper {
  constructor(url, { options, WebSocket, wall, owner }) {
    this.url = url;
    this.state = "disconnected";
    this.reason = "not connected yet";
    this.connection = null;
    this.connectedAt = null;
    this._options = options;
    this._WebSocket = WebSocket;
    this._wall = wall;
    this._owner = owner;
    this._waiting = new Set();
    this._turn = 0;
    this._retryTimer = this._greetTimer = this._ticker = null;
    this._refused = this._hurry = false;
    this._config = {};
    this._stopWaking = () => {};
    this._backoff = new Backoff({ ...this._pauses(), random: options.random ?? Math.random });
  }

  begin() {
    this._end();
    this._refused = false;
    this._backoff.restart();
    this._stopWaking = onWake(() => this._wake());
    this._tickedAt = this._wall.now();
    this._ticker = setInterval(() => this._tick(), TICK_MS);
    this._dial();
  }

  close(reason) {
    this._end();
    this.state = "closed";
    this.reason = reason;
    const { connection } = this;
    this.connection = null;
    connection?.close(reason);
    this._settle(notConnected(reason));
    this._owner.disconnected(reason);
  }

  /* Resolves when connected, rejects when that fails or takes longer than `within` (null: ever). */
  whenConnected(within) {
    if (this.state === "connected") return Promise.resolve();
    const problem = () => notConnected(`not connected to ${this.url}: ${this.reason}`);
    if (this.state !== "connecting" || this._waiting.size >= MAX_WAITING) {
      return Promise.reject(problem());
    }
    return new Promise((resolve, reject) => {
      const waiting = { resolve, reject, timer: null };
      this._waiting.add(waiting);
      if (within === null) return;
      waiting.timer = setTimeout(() => {
        this._waiting.delete(waiting);
        reject(problem());
      }, within);
    });
  }

  async _dial() {
    const turn = (this._turn += 1);
    clearTimeout(this._retryTimer);
    this._retryTimer = null;
    this.state = "connecting";
    try {
      const auth = await this._owner.auth();
      if (turn === this._turn) this._open(auth);
    } catch (cause) {
      const error = new TradingBotError("not_connected", `cannot connect: ${cause}`, {}, { cause });
      if (turn === this._turn) this._retry(error);
    }
  }

  _open(auth) {
    const { connectTimeout } = this._options;
    // What a connection says after it was given up is of no interest.
    const mine = (work) => (...args) => connection === this.connection && work(...args);
    const connection = new Connection(this.url, {
      WebSocket: this._WebSocket,
      auth,
      wall: this._wall,
      onEvent: mine((name, data, size) => this._take(name, data, size)),
      onProblem: mine((error) => this._owner.problem(error)),
      onLost: mine((reason) => this._lost(reason)),
    });
    this.connection = connection;
    const late = `no greeting came within ${connectTimeout / 1000} s`;
    this._greetTimer = setTimeout(() => connection.lose(late), connectTimeout);
  }

  _take(name, data, size) {
    this._owner.take(name, data, size);
    if (name === "connected") this._welcome(data ?? {});
  }

  async _welcome(hello) {
    const { connection } = this;
    this._config = hello.config ?? {};
    await this._owner.welcome(hello, connection);
    if (connection !== this.connection || connection.lost) return;
    clearTimeout(this._greetTimer);
    this._backoff.set(this._pauses());
    this.connectedAt = this._wall.now();
    this.state = "connected";
    this.reason = "";
    this._owner.connected(hello);
    this._settle(null);
  }

  _lost(reason) {
    clearTimeout(this._greetTimer);
    const { refusal } = this.connection;
    this.connection = null;
    if (this.state === "connected") this._backoff.lived(this._wall.now() - this.connectedAt);
    const wasConnected = this.state === "connected";
    this.connectedAt = null;
    this.state = "connecting";
    this.reason = reason;
    const turn = this._turn;
    if (wasConnected) this._owner.disconnected(reason);
    if (turn !== this._turn) return; // a handler of `disconnected` decided otherwise
    if (refusal && isFinal(refusal)) this._giveUp(refusal, { refused: true });
    else this._retry(refusal ?? notConnected(reason));
  }

  _retry(error) {
    const { attempts } = this._backoff;
    const pause = this._backoff.next((error.data.retry_after ?? 0) * 1000);
    if (pause === null) {
      const message = `gave up after ${attempts} more attempts at ${this.url}: ${error.message}`;
      this._giveUp(new TradingBotError(error.code, message, error.data));
      return;
    }
    const delay = this._hurry ? 0 : pause;
    this._hurry = false;
    this.reason = error.message;
    this._retryTimer = setTimeout(() => this._dial(), delay);
    const { attempt } = this._backoff;
    this._owner.reconnecting({ attempt, attempts, delay, reason: error.message });
  }

  _giveUp(error, { refused = false } = {}) {
    this._refused = refused;
    this._end({ waking: !refused });
    this.state = "disconnected";
    this.reason = error.message;
    this._settle(error);
    this._owner.problem(error);
  }

  _end({ waking = false } = {}) {
    this._turn += 1;
    clearTimeout(this._retryTimer);
    clearTimeout(this._greetTimer);
    clearInterval(this._ticker);
    this._retryTimer = null;
    if (!waking) this._stopWaking();
    this.connectedAt = null;
  }

  /* The page is looked at again, or the network is back: find out at once how things are. */
  _wake() {
    if (this.state === "connected") this._check();
    else if (this._retryTimer !== null) this._dial();
    else if (this.state === "disconnected" && !this._refused) this.begin();
  }

  async _check() {
    const { connection } = this;
    try {
      await this._owner.measure(Math.min(WAKE_MS, this._options.timeout));
    } catch (error) {
      if (error.code !== "timeout" || connection !== this.connection) return;
      this._hurry = true;
      connection.lose("the server did not answer after a pause");
    }
  }

  _tick() {
    const now = this._wall.now();
    const late = now - this._tickedAt > TICK_MS + LATE_MS;
    this._tickedAt = now;
    const stepped = this._wall.stepped();
    if (stepped) this._owner.stepped();
    // What came while nothing ran here has not been heard yet: ask before judging.
    if (late || stepped) this._wake();
    else if (this.state === "connected") this._listen(now);
  }

  _listen(now) {
    const beat = this._config.heartbeat_interval;
    const silence = beat ? SILENT_BEATS * beat * 1000 : this.connection.beatMs;
    if (now - this.connection.heardAt <= silence) this._owner.tick(now);
    else this.connection.lose(`the server was silent for ${silence / 1000} s`);
  }

  _settle(error) {
    const waiting = [...this._waiting];
    this._waiting.clear();
    for (const { resolve, reject, timer } of waiting) {
      clearTimeout(timer);
      if (error) reject(error);
      else resolve();
    }
  }

  /* Our own wishes count, then the server's, then the usual. */
  _pauses() {
    const server = { ...USUAL, ...this._config };
    return {
      attempts: this._options.reconnectAttempts ?? server.reconnect_attempts,
      delay: this._options.reconnectDelay ?? server.reconnect_delay * 1000,
    };
  }
}

/* A refusal for want of room or patience names when to come again. */
function isFinal(refusal) {
  return refusal.code === "auth_error" && refusal.data.retry_after === undefined;
}
