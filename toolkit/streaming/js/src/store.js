const FRAME_MS = 16;

export const NOTHING = Object.freeze({
  state: "connecting", reason: "", connected: null, prices: Object.freeze({}),
  latency: null, stats: null, gaps: Object.freeze([]), gapCount: 0, error: null,
});

/* What a view shows of a client: one frozen object, replaced at most once a frame however many
 * messages come. Prices are the latest of each symbol; `kept` gaps are remembered. */
export class LiveStore {
  constructor(client, { kept = 20, schedule = onFrame } = {}) {
    this._client = client;
    this._kept = kept;
    this._schedule = schedule;
    this._listeners = new Set();
    this._prices = new Map();
    this._news = {};
    this._due = false;
    this._view = Object.freeze({ ...NOTHING, state: client.state });
    this._removers = [
      client.on("connected", (connected) => this._note({ connected, error: null })),
      client.on("disconnected", () => this._note({})),
      client.on("reconnecting", () => this._note({})),
      client.on("latency_update", (latency) => this._note({ latency })),
      client.on("performance_stats", (stats) => this._note({ stats })),
      client.on("error", (error) => this._note({ error })),
      client.on("gap", (gap) => this._gap(gap)),
      client.on("stream_market_data", (message) => this._price(message)),
    ];
  }

  /* Listeners are called without arguments; returns what ends it. */
  subscribe = (listener) => {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  };

  view = () => this._view;

  report = (error) => this._note({ error });

  close() {
    this._removers.forEach((remove) => remove());
    this._listeners.clear();
  }

  _gap(gap) {
    const { gaps, gapCount } = { ...this._view, ...this._news };
    this._note({ gaps: [gap, ...gaps].slice(0, this._kept), gapCount: gapCount + 1 });
  }

  _price({ symbol, timestamp, data }) {
    const previous = this._prices.get(symbol)?.price ?? data.price;
    this._prices.set(symbol, { symbol, price: data.price, previous, timestamp, data });
    this._note({ prices: null });
  }

  _note(news) {
    Object.assign(this._news, news);
    if (this._due) return;
    this._due = true;
    this._schedule(() => this._flush());
  }

  _flush() {
    const { state, reason } = this._client;
    if (this._news.prices === null) this._news.prices = Object.fromEntries(this._prices);
    this._view = Object.freeze({ ...this._view, ...this._news, state, reason });
    this._news = {};
    this._due = false;
    for (const listener of [...this._listeners]) listener();
  }
}

/* A hidden page draws no frames, but what it holds should be right when it is looked at. */
function onFrame(work) {
  const { document: page, requestAnimationFrame: next } = globalThis;
  if (next && page?.visibilityState === "visible") next(work);
  else setTimeout(work, FRAME_MS);
}
