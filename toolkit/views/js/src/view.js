// One view of a chart: joins the model, the store, the drawing and the page around it.
import {
  correctionText, element, fillText, gateWords, holdingBadge, momentumLegend, priceLegend, stateText,
} from "./dom.js";
import { ZONES, clock, fixed, timeframe } from "./format.js";
import { Plot } from "./plot.js";
import { Store, get } from "./store.js";
import { STYLE } from "./style.js";
import { followTheme, themeName } from "./theme.js";

const ALIVE_EVERY = 5000;
const SILENT_AFTER = 12000;
const HEAD_HEIGHT = 34;

export class View {
  constructor(model, holder) {
    this.model = model;
    this.id = crypto.randomUUID?.() ?? String(Math.random());
    this.beats = 0;
    this.heard = performance.now();
    this.fills = [];
    this.data = { state: "connecting", position: null, labels: { ema: "", stoch_rsi: "" } };
    this.store = new Store(2 * model.get("limit"));
    this.build(holder);
    this.plot = new Plot(this.stage, { font: model.get("look").font });
    this.paint(themeName());
    this.setZone("UTC");
    this.listen();
    this.load();
    this.hello();
  }

  build(holder) {
    this.root = element("div", "tk-chart");
    this.root.style.height = `${this.model.get("height")}px`;
    this.root.append(element("style", "", STYLE));
    this.buildHead();
    this.body = element("div", "tk-plot");
    this.stage = element("div", "tk-stage");
    this.stage.style.cssText = "position: absolute; inset: 0";
    this.priceLegend = element("div", "tk-legend");
    this.priceLegend.style.top = "6px";
    this.momentumLegend = element("div", "tk-legend");
    this.tip = element("div", "tk-tip");
    this.empty = element("div", "tk-empty", "Waiting for the first bar");
    this.latest = element("button", "tk-latest", "»");
    this.latest.title = "Go to the newest bar";
    this.latest.hidden = this.tip.hidden = true;
    this.body.append(
      this.stage, this.priceLegend, this.momentumLegend, this.tip, this.empty, this.latest,
    );
    this.root.append(this.head, this.body);
    holder.append(this.root);
  }

  buildHead() {
    this.head = element("div", "tk-head");
    this.head.style.height = `${HEAD_HEIGHT}px`;
    this.head.style.boxSizing = "border-box";
    this.frame = element("span", "tk-frame");
    this.price = element("span", "tk-price");
    this.holding = element("span", "tk-holding");
    this.gate = element("span", "tk-gate");
    this.gate.setAttribute("role", "status");
    this.gate.hidden = true;
    this.badge = element("span", "tk-state");
    this.badge.setAttribute("role", "status");
    this.zone = element("select", "tk-zone");
    this.zone.title = "Time zone of the chart";
    for (const [value, { label }] of Object.entries(ZONES)) {
      this.zone.append(Object.assign(element("option", "", label), { value }));
    }
    this.head.append(
      element("span", "tk-symbol", this.model.get("symbol")), this.frame, this.price,
      this.holding, this.gate, element("span", "tk-space"), this.zone, this.badge,
    );
  }

  listen() {
    const onHistory = () => this.load();
    const onMessage = (message) => this.receive(message);
    this.model.on("change:history", onHistory);
    this.model.on("msg:custom", onMessage);
    this.plot.chart.subscribeCrosshairMove((event) => this.point(event));
    const scale = this.plot.chart.timeScale();
    scale.subscribeVisibleLogicalRangeChange(() => {
      this.latest.hidden = !this.store.last || scale.scrollPosition() > -3;
    });
    this.latest.onclick = () => scale.scrollToRealTime();
    this.zone.onchange = () => this.setZone(this.zone.value);
    // The wheel scrolls the notebook, as everywhere else on it; with Ctrl it zooms the chart.
    const wheel = (event) => !event.ctrlKey && !event.metaKey && event.stopPropagation();
    this.stage.addEventListener("wheel", wheel, { capture: true });
    const onVisible = () => document.visibilityState === "visible" && this.hello();
    document.addEventListener("visibilitychange", onVisible);
    const timer = setInterval(() => this.beat(), ALIVE_EVERY);
    const resize = new ResizeObserver(() => this.resized());
    resize.observe(this.body);
    this.endings = [
      followTheme((name) => this.paint(name)),
      () => this.model.off("change:history", onHistory),
      () => this.model.off("msg:custom", onMessage),
      () => document.removeEventListener("visibilitychange", onVisible),
      () => clearInterval(timer),
      () => resize.disconnect(),
    ];
  }

  /** Ask for everything, as a new view does; what was missed while hidden comes back. */
  hello() {
    this.beat({ newly: true });
  }

  /** Tell the kernel that somebody is looking; without it the kernel stops sending. */
  beat({ newly = false } = {}) {
    if (document.visibilityState === "visible") {
      this.model.set("alive", [this.id, this.beats++, newly]);
      this.model.save_changes();
    }
    this.showState();
  }

  load() {
    const history = this.model.get("history");
    if (!history?.rows) return;
    this.show(history, this.store.load(history.rows));
  }

  receive(message) {
    this.heard = performance.now();
    if (message.kind === "update") this.show(message, this.store.merge(message.rows));
  }

  show(data, change) {
    this.heard = performance.now();
    const { fills, position, state, labels, gates } = data;
    const moved = JSON.stringify(position) !== JSON.stringify(this.data.position);
    this.data = { position, state, labels: labels ?? this.data.labels };
    this.plot.draw(this.store.rows, change);
    if (fills) this.fills = fills.map((fill) => ({ ...fill, row: this.store.barAt(fill.time) }));
    const older = change.all || (change.from !== null && change.from < this.store.rows.length - 1);
    if (fills || older) this.plot.setMarkers(this.marks());
    this.showGates(gates ?? []);
    if (moved) this.plot.setPosition(position);
    this.refresh();
  }

  /** Return one mark for each bar and side, however many fills it took, and for corrected bars. */
  marks() {
    const seen = new Map();
    const add = (row, what) => seen.set(`${get(row, "time")} ${what}`, { bar: get(row, "time"), what });
    for (const row of this.store.rows) if (get(row, "correction")) add(row, "corrected");
    for (const { row, side } of this.fills) if (row) add(row, side);
    return [...seen.values()].sort((a, b) => a.bar - b.bar);
  }

  showGates(gates) {
    const { text, all } = gateWords(gates);
    if (this.gate.title === all) return;
    this.gate.textContent = text;
    this.gate.title = all;
    this.gate.hidden = !text;
    this.gate.classList.toggle("tk-grave", gates.some((gate) => gate.grave));
  }

  refresh() {
    const { last, rows } = this.store;
    this.empty.hidden = Boolean(last);
    this.showState();
    if (!last) return;
    const { digits } = this.plot;
    this.frame.textContent = timeframe(rows.slice(-50).map((row) => get(row, "time")));
    this.price.textContent = fixed(get(last, "close"), digits);
    this.holding.replaceChildren(
      ...holdingBadge(this.data.position, get(last, "close"), digits),
    );
    this.holding.hidden = !this.data.position;
    this.showLegend();
  }

  showLegend() {
    const rows = this.store.rows;
    const place = this.pointed === undefined ? rows.length - 1 : this.store.find(this.pointed);
    const row = rows[place];
    if (!row) return;
    // Indicators are known at a bar's close; for the forming bar show the last that are.
    const closed = this.pointed === undefined && !get(row, "final") ? rows[place - 1] : row;
    const shown = closed && closed !== row ? withIndicatorsOf(row, closed) : row;
    const { labels } = this.data;
    this.priceLegend.replaceChildren(
      ...priceLegend(shown, rows[place - 1], this.plot.digits, labels),
    );
    this.momentumLegend.replaceChildren(...momentumLegend(shown, labels));
    this.placeLegend();
  }

  /** What is in view can be chosen only once the page has given the chart a width. */
  resized() {
    if (!this.sized && this.body.clientWidth) {
      this.sized = true;
      this.plot.chart.timeScale().resetTimeScale();
    }
    this.placeLegend();
  }

  placeLegend() {
    this.momentumLegend.style.top = `${this.plot.momentumTop() + 4}px`;
  }

  showState() {
    const quiet = performance.now() - this.heard;
    const silent = quiet > SILENT_AFTER && this.data.state !== "closed";
    const silence = silent ? Math.round(quiet / 1000) : null;
    this.badge.textContent = stateText(this.data.state, silence);
    this.badge.dataset.state = silence === null ? this.data.state : "silent";
  }

  point(event) {
    this.pointed = event.time;
    this.showLegend();
    const fills = this.fills.filter(({ row }) => row && get(row, "time") === event.time);
    const row = event.time === undefined ? undefined : this.store.barAt(event.time);
    const lines = fills.map((fill) => fillText(fill, this.plot.digits));
    lines.push(...[correctionText(row && get(row, "correction"))].filter(Boolean));
    this.tip.hidden = !event.point || !lines.length;
    if (this.tip.hidden) return;
    this.tip.replaceChildren(...lines.map((line) => element("div", "", line)));
    const room = this.body.clientWidth - this.tip.offsetWidth - 76;
    this.tip.style.left = `${Math.max(4, Math.min(event.point.x + 14, room))}px`;
    this.tip.style.top = `${Math.max(4, event.point.y - this.tip.offsetHeight - 10)}px`;
  }

  paint(name) {
    const look = this.model.get("look");
    const colours = look[name];
    this.root.dataset.theme = name;
    this.root.style.setProperty("--tk-font", look.font);
    for (const [role, colour] of Object.entries(colours)) {
      if (typeof colour === "string") this.root.style.setProperty(`--tk-${role}`, colour);
    }
    this.plot.setLook(colours, this.store.rows);
  }

  setZone(name) {
    this.plot.setClock(clock(name));
  }

  remove() {
    for (const end of this.endings) end();
    this.plot.remove();
    this.root.remove();
  }
}

function withIndicatorsOf(row, closed) {
  return row.map((value, i) => (i < 7 ? value : closed[i]));
}
