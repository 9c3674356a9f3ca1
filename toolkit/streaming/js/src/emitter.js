import { TradingBotError } from "./errors.js";

const EVENTS = [
  "connected", "disconnected", "reconnecting", "heartbeat", "gap", "error", "alert",
  "config_changed", "latency_update", "performance_stats", "stream_data",
];
const NAMED = /^(stream|symbol)_./;

/* Calls handlers one after the other; one that throws is reported as `error` and harms no other. */
export class Emitter {
  constructor() {
    this._handlers = new Map();
  }

  /* Returns what removes the handler again. Throws for an event that does not exist. */
  on(event, handler) {
    if (!EVENTS.includes(event) && !NAMED.test(event)) {
      const allowed = [...EVENTS, "stream_<name>", "symbol_<SYMBOL>"];
      const message = `event is ${event}; allowed: ${allowed.join(", ")}`;
      throw new TradingBotError("config_error", message, { field: "event", allowed });
    }
    if (typeof handler !== "function") {
      throw new TradingBotError("config_error", `the handler of ${event} is no function`);
    }
    const entry = { handler };
    this._handlers.set(event, [...(this._handlers.get(event) ?? []), entry]);
    return () => this._keep(event, (other) => other !== entry);
  }

  off(event, handler) {
    this._keep(event, (entry) => entry.handler !== handler);
  }

  emit(event, value) {
    for (const { handler } of this._handlers.get(event) ?? []) {
      try {
        const result = handler(value);
        if (typeof result?.then === "function") {
          result.then(undefined, (error) => this._report(event, error));
        }
      } catch (error) {
        this._report(event, error);
      }
    }
  }

  _keep(event, wanted) {
    this._handlers.set(event, (this._handlers.get(event) ?? []).filter(wanted));
  }

  _report(event, cause) {
    const message = `a handler of ${event} threw ${cause}`;
    if (event === "error" || !this._handlers.get("error")?.length) console.error(message, cause);
    else this.emit("error", new TradingBotError("handler_error", message, { event }, { cause }));
  }
}
