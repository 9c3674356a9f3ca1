/* TradingBotWebSocketClient: the bot's live streams in a browser or in Node.
 *
 *   const client = new TradingBotWebSocketClient(location.origin, { token });
 *   client.on("connected", ({ connectionId }) => client.subscribe(["market_data"], ["AAPL"]));
 *   client.on("stream_market_data", (message) => show(message.data.symbol, message.data.price));
 *
 * Needs socket.io-client: load /_toolkit/socket.io.min.js before this file, or pass `io`.
 * Events: connected, disconnected, stream_data, stream_<name>, symbol_<SYMBOL>, heartbeat, gap,
 * error, latency_update, performance_stats.
 */
(function (root) {
  "use strict";

  const LATENCIES_KEPT = 200;

  class TradingBotWebSocketClient {
    constructor(url, options = {}) {
      const io = options.io || root.io;
      if (!io) throw new Error("socket.io-client is missing: load socket.io.min.js first");
      this.url = url;
      this.latencyTarget = options.latencyTarget ?? 50;
      this.epoch = null;
      this.lastSeen = {};
      this.last = new Map();
      this.subscriptions = new Map();
      this.handlers = new Map();
      this.latencies = [];
      this.messagesReceived = 0;
      this.connectedAt = null;
      this.socket = io(url, {
        auth: (answer) => answer(this._auth(options.token)),
        reconnectionAttempts: options.reconnectAttempts ?? 10,
        reconnectionDelay: options.reconnectDelay ?? 500,
        transports: ["websocket", "polling"],
        withCredentials: true,
      });
      this._listen();
      // A ping that gets no answer says nothing that `disconnected` does not say.
      const ping = () => this.ping().catch(() => {});
      this.pingTimer = setInterval(ping, options.pingInterval ?? 5000);
    }

    /* Handlers get one object; returns a function that removes the handler. */
    on(event, handler) {
      if (!this.handlers.has(event)) this.handlers.set(event, new Set());
      this.handlers.get(event).add(handler);
      return () => this.handlers.get(event).delete(handler);
    }

    /* No symbols = all. Resolves with the confirmation, rejects with {code, message}. */
    subscribe(streams, symbols = null, maxRate = undefined) {
      const body = { stream_types: streams, symbols };
      if (maxRate !== undefined) body.max_rate = maxRate;
      return this._ask("subscribe", body).then((answer) => {
        streams.forEach((stream) => this._want(stream, symbols, maxRate));
        return answer;
      });
    }

    unsubscribe(streams, symbols = null) {
      return this._ask("unsubscribe", { stream_types: streams, symbols }).then((answer) => {
        streams.forEach((stream) => this._unwant(stream, symbols));
        return answer;
      });
    }

    command(name, args = {}) {
      const id = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
      return this._ask("command", { name, args, id }).then((answer) => answer.result);
    }

    ping() {
      if (!this.socket.connected) return Promise.resolve(null);
      const sent = performance.now();
      return this._ask("ping", { timestamp: sent }).then(() => {
        const current = performance.now() - sent;
        this.latencies.push(current);
        if (this.latencies.length > LATENCIES_KEPT) this.latencies.shift();
        const update = { current, average: this.averageLatency(), target: this.latencyTarget };
        this._tell("latency_update", { ...update, ok: current <= this.latencyTarget });
        this._tell("performance_stats", this.stats());
        return current;
      });
    }

    stats() {
      return {
        avgLatency: this.averageLatency(),
        messagesReceived: this.messagesReceived,
        connectionUptime: this.connectedAt === null ? 0 : (Date.now() - this.connectedAt) / 1000,
      };
    }

    averageLatency() {
      const count = this.latencies.length;
      return count ? this.latencies.reduce((sum, value) => sum + value, 0) / count : null;
    }

    disconnect() {
      clearInterval(this.pingTimer);
      this.socket.disconnect();
    }

    _auth(token) {
      const auth = { client: "javascript" };
      if (token) auth.token = token;
      if (this.epoch !== null) auth.last_seen = { epoch: this.epoch, seq: this.lastSeen };
      return auth;
    }

    _listen() {
      this.socket.on("connected", (hello) => this._welcome(hello));
      this.socket.on("stream_data", (message) => this._receive(message));
      this.socket.on("subscription_confirmed", (confirmed) => {
        for (const [stream, seq] of Object.entries(confirmed.seq)) {
          this.lastSeen[stream] = Math.max(this.lastSeen[stream] || 0, seq);
        }
      });
      this.socket.on("disconnect", (reason) => {
        this.connectedAt = null;
        this._tell("disconnected", { reason });
      });
      this.socket.on("connect_error", (error) => {
        this._tell("error", { message: error.message, ...(error.data || {}) });
      });
      for (const event of ["heartbeat", "gap", "alert", "config_changed"]) {
        this.socket.on(event, (data) => this._tell(event, data));
      }
      // An error that names its event also rejects the promise of that request.
      this.socket.on("error", (error) => error.event || this._tell("error", error));
    }

    _welcome(hello) {
      if (this.epoch !== hello.epoch) {
        this.lastSeen = {};
        this.last.clear();
      }
      this.epoch = hello.epoch;
      this.connectedAt = Date.now();
      for (const [stream, { symbols, maxRate }] of this.subscriptions) {
        const body = { stream_types: [stream], symbols: symbols && [...symbols] };
        if (maxRate !== undefined) body.max_rate = maxRate;
        this._ask("subscribe", body).catch((error) => this._tell("error", error));
      }
      this._tell("connected", hello);
    }

    _receive(message) {
      const { stream_type: stream, symbol, seq } = message;
      const key = `${stream} ${symbol}`;
      if (!message.snapshot && seq <= (this.last.get(key) || 0)) return;
      this.last.set(key, seq);
      this.lastSeen[stream] = Math.max(this.lastSeen[stream] || 0, seq);
      this.messagesReceived += 1;
      this._tell("stream_data", message);
      this._tell(`stream_${stream}`, message);
      if (symbol) this._tell(`symbol_${symbol}`, message);
    }

    _want(stream, symbols, maxRate) {
      const before = this.subscriptions.get(stream);
      const all = !symbols || (before && before.symbols === null);
      const merged = all ? null : new Set([...(before ? before.symbols : []), ...symbols]);
      this.subscriptions.set(stream, { symbols: merged, maxRate: maxRate ?? before?.maxRate });
    }

    _unwant(stream, symbols) {
      const before = this.subscriptions.get(stream);
      if (!before) return;
      if (symbols && before.symbols) {
        symbols.forEach((symbol) => before.symbols.delete(symbol));
        if (before.symbols.size) return;
      } else if (symbols) {
        return;
      }
      this.subscriptions.delete(stream);
    }

    _ask(event, body) {
      return new Promise((resolve, reject) => {
        this.socket.timeout(30000).emit(event, body, (error, answer) => {
          if (error) reject({ code: "timeout", message: `no answer to ${event} within 30 s` });
          else if (!answer.ok) reject(answer.error);
          else resolve(answer);
        });
      });
    }

    _tell(event, data) {
      for (const handler of this.handlers.get(event) || []) {
        try {
          handler(data);
        } catch (error) {
          if (event === "error") console.error(error);
          else this._tell("error", { code: "handler_error", message: String(error), event });
        }
      }
    }
  }

  root.TradingBotWebSocketClient = TradingBotWebSocketClient;
  if (typeof module !== "undefined") module.exports = { TradingBotWebSocketClient };
})(typeof globalThis !== "undefined" ? globalThis : this);
