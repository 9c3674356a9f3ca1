/* The last messages and those of them that pass the filter; both bounded, newest last. */
export class Feed {
  constructor(size = 5_000) {
    this.size = size;
    this.paused = false;
    this.newer = 0;
    this._all = [];
    this._passing = [];
    this._held = null;
    this._filter = { stream: "", symbol: "", text: "" };
  }

  /* What is to be shown: what came so far, or what there was when it was held. */
  get rows() {
    return this._held ?? this._passing;
  }

  get held() {
    return this._held !== null;
  }

  get kept() {
    return Math.min(this._all.length, this.size);
  }

  get filtered() {
    return Object.values(this._filter).some(Boolean);
  }

  push(entry) {
    keep(this._all, entry, this.size);
    if (!passes(entry, this._filter)) return;
    keep(this._passing, entry, this.size);
    if (this.held) this.newer += 1;
  }

  filter(change) {
    this._filter = { ...this._filter, ...change };
    this._filter.text = this._filter.text.toLowerCase();
    this._passing = this._all.slice(-this.size).filter((entry) => passes(entry, this._filter));
    if (this.held) this._held = this._passing.slice(-this.size);
    this.newer = 0;
  }

  /* Hold the picture; messages go on being kept. */
  hold() {
    if (!this.held) this._held = this._passing.slice(-this.size);
  }

  release() {
    this._held = null;
    this.newer = 0;
  }

  clear() {
    this._all = [];
    this._passing = [];
    if (this.held) this._held = [];
    this.newer = 0;
  }
}

/* Cut only now and then: moving thousands of entries for each message would cost more. */
function keep(list, entry, size) {
  list.push(entry);
  if (list.length >= 2 * size) list.splice(0, list.length - size);
}

function passes(entry, { stream, symbol, text }) {
  const { message } = entry;
  if (stream && message.stream_type !== stream) return false;
  if (symbol && message.symbol !== symbol) return false;
  return !text || (entry.text ??= JSON.stringify(message).toLowerCase()).includes(text);
}
