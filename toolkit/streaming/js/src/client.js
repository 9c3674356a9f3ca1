import { notConnected, socketAddress } from "./connection.js";
import { Counts } from "./counts.js";
import { Emitter } from "./emitter.js";
import { TradingBotError } from "./errors.js";
import { Keeper } from "./keeper.js";
import { LatencyMeter, SteadyWall } from "./latency.js";
import { Pulse } from "./pulse.js";
import { selection, Subscriptions } from "./subscriptions.js";
import { Tracker } from "./tracker.js";

const DEFAULTS = {
  name: "javascript",
  latencyTarget: 50,
  pingInterval: 5_000,
  timeout: 30_000,
  connectTimeout: 10_000,
  autoConnect: true,
};
const BLINK_MS = 2_000;
const PASSED_ON = new Set(["heartbeat", "alert", "config_changed"]);

/* The bot's live streams: connects at once, stays connected, subscribes again and resumes. All
 * times in milliseconds; index.d.ts describes options, events and messages. */
export class TradingBotWebSocketClient {
  constructor(url, options = {}) {
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    this._options = { ...DEFAULTS, ...Object.fromEntries(given) };
    socketAddress(url); // throws for an address that cannot be
    this.url = url;
    this._hello = {};
    this._counts = new Counts();
    this._emitter = new Emitter();
    this._tracker = new Tracker();
    this._subscriptions = new Subscriptions();
    this._wall = new SteadyWall();
    this._meter = new LatencyMeter({ wall: this._wall });
    this._pulse = new Pulse({
      meter: this._meter,
      wall: this._wall,
      interval: this._options.pingInterval,
      timeout: this._options.timeout,
      ask: (event, body, within) => this._ask(event, body, within),
      measured: (roundTripMs) => this._measured(roundTripMs),
      problem: (error) => this._emitter.emit("error", error),
    });
    this._keeper = new Keeper(url, {
      options: this._options,
      WebSocket: webSocket(this._options),
      wall: this._wall,
      owner: this._owner(),
    });
    if (this._options.autoConnect) this.connect().catch(() => {}); // told by the event `error`
  }

  /* `connected`, `connecting` (also while it tries again), `disconnected` or `closed`. */
  get state() {
    return this._keeper.state;
  }

  /* Why it is not connected; empty while it is. */
  get reason() {
    return this._keeper.reason;
  }

  get role() {
    return this._hello.role ?? "";
  }

  get epoch() {
    return this._tracker.epoch;
  }

  get connectionId() {
    return this._hello.connectionId ?? "";
  }

  /* What the server said about itself when connecting. */
  get config() {
    return this._hello.config ?? {};
  }

  /* `[{stream, symbols, without}]`; symbols null = all. */
  get subscriptions() {
    return this._subscriptions.list();
  }

  /* Resolves with what `connected` carries; rejects when the server refuses, or when it could
   * not be reached in all attempts. */
  connect() {
    if (this.state === "disconnected" || this.state === "closed") this._keeper.begin();
    return this._keeper.whenConnected(null).then(() => this._hello);
  }

  /* Leave for good; `connect` begins anew. */
  disconnect() {
    if (this.state !== "closed") this._keeper.close("closed by this client");
  }

  /* Call `handler` with one object on each event; returns what removes it. */
  on(event, handler) {
    return this._emitter.on(event, handler);
  }

  off(event, handler) {
    this._emitter.off(event, handler);
  }

  /* No symbols = all. Resolves with the confirmation; may be called before it is connected. */
  async subscribe(streams, symbols = null, { maxRate } = {}) {
    const body = selection(list(streams, "streams"), symbols && list(symbols, "symbols"), maxRate);
    const answer = await this._request("subscribe", body, this._options.timeout);
    this._tracker.answered(answer.seq);
    this._subscriptions.add(streams, symbols);
    this._subscriptions.maxRate = maxRate ?? this._subscriptions.maxRate;
    return answer;
  }

  async unsubscribe(streams, symbols = null) {
    const body = selection(list(streams, "streams"), symbols && list(symbols, "symbols"));
    const answer = await this._request("unsubscribe", body, this._options.timeout);
    for (const stream of this._subscriptions.remove(streams, symbols)) this._tracker.forget(stream);
    return answer;
  }

  /* Have the bot carry out a command; resolves with its result. When the connection breaks before
   * the answer, it is asked for again on the next one; the server executes it once. */
  async command(name, args = {}, { id = freshId() } = {}) {
    return (await this._request("command", { name, args, id }, BLINK_MS)).result;
  }

  /* The server's figures about this client. */
  async serverStats() {
    const { ok, ...figures } = await this._request("get_performance_stats", {}, BLINK_MS);
    return figures;
  }

  /* The time to the server and back; also measures its clock. */
  async ping() {
    await this._keeper.whenConnected(BLINK_MS);
    return this._pulse.measure();
  }

  /* One-way latency of about the last minute, over all streams and of each. */
  latency() {
    const { offsetMs = null, uncertaintyMs = null } = this._meter.clock.estimate ?? {};
    return { ...this._meter.overall(), streams: this._meter.byStream(), offsetMs, uncertaintyMs };
  }

  /* How long a message that arrived just now was on its way; null for what was not live. */
  latencyOf(message) {
    return this._meter.of(message);
  }

  /* What `performance_stats` carries. */
  stats() {
    const since = this._keeper.connectedAt;
    const { average } = this._meter.overall();
    return {
      avgLatency: average ?? this._meter.clock.estimate?.uncertaintyMs ?? null,
      connectionUptime: since === null ? 0 : (this._wall.now() - since) / 1000,
      ...this._counts.summary(),
    };
  }

  _owner() {
    return {
      auth: () => this._auth(),
      take: (name, data, size) => this._take(name, data, size),
      welcome: (hello, connection) => this._welcome(hello, connection),
      connected: (hello) => this._connected(hello),
      disconnected: (reason) => this._disconnected(reason),
      reconnecting: (facts) => this._emitter.emit("reconnecting", facts),
      problem: (error) => this._emitter.emit("error", error),
      measure: (within) => this._pulse.measure(within),
      tick: (now) => this._pulse.tick(now),
      stepped: () => this._meter.restart(),
    };
  }

  async _auth() {
    const { token, name } = this._options;
    const auth = { client: name, batch: true };
    const known = typeof token === "function" ? await token() : token;
    if (known) auth.token = known;
    const lastSeen = this._tracker.lastSeen();
    if (lastSeen) auth.last_seen = lastSeen;
    return auth;
  }

  _take(name, data, size) {
    if (name === "stream_data") this._receive([data], size);
    else if (name === "stream_batch") this._receive(data, size);
    else if (name === "subscription_confirmed") this._confirmed(data.seq);
    else if (name === "gap") this._announced(data);
    else if (name === "error") this._complaint(data);
    else if (PASSED_ON.has(name)) this._emitter.emit(name, data);
  }

  _receive(messages, size) {
    if (!Array.isArray(messages)) throw new TypeError("no list of messages");
    this._counts.bytes += size;
    for (const message of messages) {
      try {
        this._accept(message);
      } catch (cause) {
        const problem = "the server sent a message that has no meaning";
        this._emitter.emit("error", new TradingBotError("wire_error", problem, {}, { cause }));
      }
    }
  }

  _accept(message) {
    const { fresh, gap, skipped } = this._tracker.accept(message);
    if (gap) this._gap(gap);
    if (!fresh || this._subscriptions.excludes(message.stream_type, message.symbol)) return;
    this._counts.message(message.stream_type, skipped);
    this._pass(message);
  }

  _pass(message) {
    const { stream_type: stream, symbol } = message;
    this._meter.note(message);
    this._emitter.emit("stream_data", message);
    this._emitter.emit(`stream_${stream}`, message);
    if (symbol) this._emitter.emit(`symbol_${symbol}`, message);
  }

  _confirmed(seq) {
    this._tracker.confirm(seq);
    Object.keys(seq).forEach((stream) => this._meter.confirmed(stream));
  }

  _announced(gap) {
    if (this._tracker.announced(gap)) this._gap(gap);
  }

  _gap(gap) {
    this._counts.gap(gap.stream);
    this._emitter.emit("gap", gap);
  }

  /* A complaint that names its event also rejects the promise of that request. */
  _complaint(data) {
    if (!data.event) this._emitter.emit("error", TradingBotError.from(data));
  }

  async _welcome(hello, connection) {
    this._meter.connected();
    for (const gap of this._tracker.start(hello.epoch)) this._gap(gap);
    this._hello = hello;
    this._leaveBehind(this.config.symbols);
    const asked = this._subscriptions.requests().map(async ([event, body]) => {
      try {
        const { answer } = await connection.ask(event, body, this._options.timeout);
        this._tracker.answered(answer.seq ?? {});
      } catch (error) {
        if (error.code !== "not_connected") this._emitter.emit("error", error);
      }
    });
    await Promise.all(asked);
  }

  _leaveBehind(symbols) {
    const gone = symbols ? this._subscriptions.keepOnly(symbols) : [];
    if (!gone.length) return;
    const message = `the server has ${gone.join(", ")} no longer; it has ${symbols.join(", ")}`;
    this._emitter.emit("error", new TradingBotError("wire_error", message, { field: "symbols" }));
  }

  _connected(hello) {
    this._counts.connections += 1;
    this._emitter.emit("connected", hello);
    this._pulse.soon();
  }

  _disconnected(reason) {
    this._pulse.stop();
    this._emitter.emit("disconnected", { reason });
  }

  _measured(roundTripMs) {
    const update = this._meter.update(roundTripMs, this._options.latencyTarget);
    this._emitter.emit("latency_update", update);
    this._emitter.emit("performance_stats", this.stats());
  }

  async _request(event, body, patience) {
    const { timeout } = this._options;
    await this._keeper.whenConnected(patience);
    const { epoch } = this;
    try {
      return (await this._ask(event, body, timeout)).answer;
    } catch (error) {
      if (error.code !== "not_connected") throw error;
    }
    const unknown = `the connection was lost and it is not known whether ${event} was carried out`;
    await this._keeper.whenConnected(timeout).catch(() => {
      throw notConnected(unknown);
    });
    if (event === "command" && this.epoch !== epoch) {
      throw notConnected(`${unknown}: the server was restarted`);
    }
    return (await this._ask(event, body, timeout)).answer;
  }

  async _ask(event, body, within) {
    const { connection } = this._keeper;
    if (!connection) throw notConnected(`not connected to ${this.url}: ${this.reason}`);
    return connection.ask(event, body, within);
  }
}

function webSocket({ WebSocket = globalThis.WebSocket }) {
  if (WebSocket) return WebSocket;
  const message = "there is no WebSocket here; give the option WebSocket, as from npm's ws";
  throw new TradingBotError("config_error", message, { field: "WebSocket" });
}

function list(names, what) {
  if (Array.isArray(names)) return names;
  const message = `${what} is ${JSON.stringify(names)}; give a list, such as ["${names}"]`;
  throw new TradingBotError("config_error", message, { field: what });
}

function freshId() {
  const random = () => Math.random().toString(36).slice(2, 12);
  return globalThis.crypto?.randomUUID?.() ?? `${Date.now().toString(36)}-${random()}${random()}`;
}
