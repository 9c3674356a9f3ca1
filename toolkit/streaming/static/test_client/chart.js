import { milliseconds } from "./words.js";

const LINES = ["p50", "p95", "p99"];
const PAD = { left: 54, right: 10, top: 8, bottom: 20 };
const LEAST_BINS = 60;
const MARKS = [1, 0.75, 0.5, 0.25, 0];

/* Latency of the last two minutes on a logarithmic scale, drawn by hand. */
export class LatencyChart {
  constructor(canvas, tip, meter) {
    this._canvas = canvas;
    this._tip = tip;
    this._meter = meter;
    this._target = 50;
    this._at = null;
    this._colours = {};
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointermove", ({ offsetX }) => this._look(offsetX));
    canvas.addEventListener("pointerleave", () => this._look(null));
    addEventListener("themechange", () => this._repaint());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this._repaint());
  }

  set target(milliseconds_) {
    this._target = milliseconds_;
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this._canvas;
    if (!width || !height) return;
    const scale = devicePixelRatio || 1;
    if (this._canvas.width !== Math.round(width * scale) || this._canvas.height !== Math.round(height * scale)) {
      this._canvas.width = Math.round(width * scale);
      this._canvas.height = Math.round(height * scale);
    }
    const pen = this._canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    this._box = { left: PAD.left, right: width - PAD.right, top: PAD.top, bottom: height - PAD.bottom };
    this._axis = axis(this._meter.bins, this._target);
    this._drawGrid(pen);
    this._drawTarget(pen);
    this._drawMaxima(pen);
    LINES.forEach((name) => this._drawLine(pen, name));
    this._drawCursor(pen);
    this._describe();
  }

  _x(index) {
    const { left, right } = this._box;
    return right - ((this._meter.bins.length - 1 - index) / (this._span - 1)) * (right - left);
  }

  /* So many bins fit: half a minute at first, which grows to two. */
  get _span() {
    const { bins, size } = this._meter;
    return Math.min(size, Math.max(LEAST_BINS, bins.length));
  }

  _y(value) {
    const { top, bottom } = this._box;
    const { low, high } = this._axis;
    const part = (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low);
    return bottom - Math.min(1, part) * (bottom - top);
  }

  _drawGrid(pen) {
    const { left, right, bottom } = this._box;
    const { low, high } = this._axis;
    pen.font = "11px system-ui, sans-serif";
    pen.lineWidth = 1;
    pen.strokeStyle = this._colour("line");
    pen.fillStyle = this._colour("soft");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (let power = low; power <= high; power += 1) {
      const y = Math.round(this._y(10 ** power)) + 0.5;
      stroke(pen, [[left, y], [right, y]]);
      pen.fillText(`${Number((10 ** power).toPrecision(1))} ms`, left - 6, y);
    }
    pen.textBaseline = "alphabetic";
    for (const part of MARKS) {
      const seconds = Math.round((part * this._span * this._meter.binMs) / 1000);
      pen.textAlign = part === 0 ? "right" : part === 1 ? "left" : "center";
      pen.fillText(seconds ? `${seconds} s` : "now", right - part * (right - left), bottom + 15);
    }
  }

  _drawTarget(pen) {
    const { left, right } = this._box;
    const y = Math.round(this._y(this._target)) + 0.5;
    pen.strokeStyle = this._colour("good");
    pen.setLineDash([5, 4]);
    stroke(pen, [[left, y], [right, y]]);
    pen.setLineDash([]);
  }

  _drawMaxima(pen) {
    pen.fillStyle = this._colour("p99");
    pen.globalAlpha = 0.45;
    this._meter.bins.forEach((bin, index) => {
      if (bin) pen.fillRect(this._x(index) - 1, this._y(bin.max) - 1, 2, 2);
    });
    pen.globalAlpha = 1;
  }

  _drawLine(pen, name) {
    pen.strokeStyle = this._colour(name);
    pen.fillStyle = pen.strokeStyle;
    pen.lineWidth = name === "p50" ? 2 : 1.5;
    pen.lineJoin = "round";
    for (const [first, run] of runs(this._meter.bins)) {
      const points = run.map((bin, index) => [this._x(first + index), this._y(bin[name])]);
      if (points.length > 1) stroke(pen, points);
      else pen.fillRect(points[0][0] - 1, points[0][1] - 1, 2.5, 2.5);
    }
    pen.lineWidth = 1;
  }

  _drawCursor(pen) {
    const { bins } = this._meter;
    const index = this._at === null ? -1 : nearest(bins, (i) => Math.abs(this._x(i) - this._at));
    this._tip.hidden = index < 0;
    if (index < 0) return;
    const x = Math.round(this._x(index)) + 0.5;
    const { top, bottom, left, right } = this._box;
    pen.strokeStyle = this._colour("strong");
    stroke(pen, [[x, top], [x, bottom]]);
    const bin = bins[index];
    const ago = ((bins.length - 1 - index) * this._meter.binMs) / 1000;
    const values = [...LINES, "max"].map((name) => `${name} ${milliseconds(bin[name])}`).join("   ");
    this._tip.textContent = `${ago ? `${ago} s ago` : "now"}   ${values} ms   ${bin.count} messages`;
    const room = right - left - this._tip.offsetWidth;
    this._tip.style.left = `${left + Math.max(0, Math.min(room, x - left - this._tip.offsetWidth / 2))}px`;
  }

  _look(x) {
    this._at = x;
    this.draw();
  }

  _describe() {
    const last = this._meter.bins.findLast(Boolean);
    const now = last ? `p50 ${milliseconds(last.p50)}, p99 ${milliseconds(last.p99)} ms` : "nothing measured";
    this._canvas.setAttribute("aria-label", `Latency over the last two minutes: ${now}; target ${this._target} ms`);
  }

  _repaint() {
    this._colours = {};
    this.draw();
  }

  /* A canvas knows no variables: let an element tell what the colour is now. */
  _colour(name) {
    if (!this._colours[name]) {
      this._tip.style.color = `var(--${name})`;
      this._colours[name] = getComputedStyle(this._tip).color;
      this._tip.style.color = "";
    }
    return this._colours[name];
  }
}

/* Whole powers of ten around everything that is drawn. */
function axis(bins, target) {
  const there = bins.filter(Boolean);
  const least = Math.min(target / 10, ...there.map((bin) => bin.p50));
  const most = Math.max(target * 1.5, ...there.map((bin) => bin.max));
  return { low: Math.max(-2, Math.floor(Math.log10(least || 0.01))), high: Math.ceil(Math.log10(most)) };
}

function* runs(bins) {
  for (let first = 0; first < bins.length; first += 1) {
    if (!bins[first]) continue;
    let end = first;
    while (end < bins.length && bins[end]) end += 1;
    yield [first, bins.slice(first, end)];
    first = end;
  }
}

function nearest(bins, distance) {
  let best = -1;
  bins.forEach((bin, index) => {
    if (bin && (best < 0 || distance(index) < distance(best))) best = index;
  });
  return best;
}

function stroke(pen, points) {
  pen.beginPath();
  points.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}
