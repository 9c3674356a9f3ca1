import { element, write } from "./dom.js";
import { colour, describe, milliseconds } from "./words.js";

/* The messages that are in sight, newest first; there are only as many elements as fit. */
export class MessageList {
  constructor(box, rows, { feed, onChoose, onHold }) {
    this.chosen = null;
    this._box = box;
    this._rows = rows;
    this._feed = feed;
    this._onChoose = onChoose;
    this._onHold = onHold;
    this._lines = [];
    this._measure();
    new ResizeObserver(() => this._measure()).observe(box);
    box.addEventListener("scroll", () => this._scrolled());
    // Rows move while they are pressed: what counts is what lay there when it began.
    rows.addEventListener("pointerdown", ({ target, button }) => {
      const line = this._lines.find(({ node }) => node.contains(target));
      if (line?.entry && button === 0) this._choose(line.entry);
    });
    box.addEventListener("keydown", (event) => this._key(event));
  }

  draw() {
    const { rows } = this._feed;
    const total = Math.min(rows.length, this._feed.size);
    this._rows.style.height = `${total * this._height}px`;
    const first = Math.max(0, Math.floor(this._box.scrollTop / this._height));
    this._lines.forEach((line, index) => {
      const place = first + index;
      this._fill(line, place < total ? rows[rows.length - 1 - place] : null, place);
    });
  }

  toTop() {
    this._box.scrollTop = 0;
  }

  forget() {
    this.chosen = null;
  }

  _measure() {
    this._height = Number.parseFloat(getComputedStyle(this._box).getPropertyValue("--row"));
    const needed = Math.ceil(this._box.clientHeight / this._height) + 2;
    while (this._lines.length < needed) {
      const line = newLine(this._lines.length);
      this._lines.push(line);
      this._rows.append(line.node);
    }
    this._lines.splice(needed).forEach(({ node }) => node.remove());
    this.draw();
  }

  _fill(line, entry, place) {
    line.node.hidden = !entry;
    if (entry !== line.entry && entry) write_(line, entry);
    line.entry = entry;
    if (!entry) return;
    line.node.style.transform = `translateY(${place * this._height}px)`;
    const chosen = entry === this.chosen;
    line.node.setAttribute("aria-selected", String(chosen));
    if (chosen) this._box.setAttribute("aria-activedescendant", line.node.id);
  }

  _scrolled() {
    if (this._box.scrollTop > 0) this._hold();
    this.draw();
  }

  _hold() {
    if (this._feed.held) return;
    this._feed.hold();
    this._onHold();
  }

  _choose(entry) {
    this._hold();
    this.chosen = entry;
    this._onChoose(entry);
    this.draw();
  }

  _key(event) {
    const { rows } = this._feed;
    const page = Math.max(1, Math.floor(this._box.clientHeight / this._height) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined || !rows.length) return;
    event.preventDefault();
    const last = Math.min(rows.length, this._feed.size) - 1;
    const now = this.chosen ? rows.length - 1 - rows.lastIndexOf(this.chosen) : -1;
    const known = now >= 0 && now <= last;
    const place = known ? Math.max(0, Math.min(last, now + step)) : 0;
    const entry = rows[rows.length - 1 - place];
    this._choose(entry);
    this._show(place);
  }

  _show(place) {
    const top = place * this._height;
    const { scrollTop, clientHeight } = this._box;
    if (top < scrollTop) this._box.scrollTop = top;
    if (top + this._height > scrollTop + clientHeight) this._box.scrollTop = top + this._height - clientHeight;
  }
}

const CELLS = ["time", "stream", "symbol", "seq", "ms", "what"];

function newLine(number) {
  const cells = CELLS.map((name) => element("span", name));
  const node = element("div", "line", ...cells);
  node.id = `line-${number}`;
  node.setAttribute("role", "option");
  return { node, cells, entry: null };
}

function write_({ node, cells }, { message, latency }) {
  const texts = [
    time(message.timestamp), message.stream_type, message.symbol ?? "",
    message.snapshot ? "state" : String(message.seq), latency === null ? "" : milliseconds(latency),
    describe(message),
  ];
  texts.forEach((text, index) => write(cells[index], text));
  node.classList.toggle("missing", message.data.kind === "gap");
  node.style.setProperty("--tag", colour(message.stream_type));
}

function time(timestamp) {
  return timestamp.slice(11, 23).replace("Z", "");
}
