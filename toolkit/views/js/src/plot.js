// The drawing: candles, EMA and volume above, StochRSI below, fills and price levels on top.
import {
  CandlestickSeries, CrosshairMode, HistogramSeries, LineSeries, LineStyle, createChart,
  createSeriesMarkers,
} from "lightweight-charts";
import { decimals } from "./format.js";
import { get } from "./store.js";
import { fade } from "./theme.js";

const MOMENTUM_PANE = 1;
const LEVELS = {
  entry_price: { title: "Entry", role: "muted", lineStyle: LineStyle.Dotted },
  stop: { title: "Stop", role: "down", lineStyle: LineStyle.Dashed },
  target: { title: "Target", role: "up", lineStyle: LineStyle.Dashed },
};
const QUIET = { lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false };
const PERCENT = {
  ...QUIET,
  priceFormat: { type: "custom", minMove: 1, formatter: percentLabel },
  autoscaleInfoProvider: () => ({ priceRange: { minValue: 0, maxValue: 100 } }),
};
const BAND = { ...PERCENT, lineWidth: 1, lineStyle: LineStyle.Dashed };
const WAVE = { ...PERCENT, lineWidth: 1.5 };

const STATIC = {
  autoSize: true,
  layout: { fontSize: 11, attributionLogo: true, panes: { enableResize: false } },
  crosshair: { mode: CrosshairMode.Normal },
  timeScale: {
    timeVisible: true, secondsVisible: false, barSpacing: 7, rightOffset: 6, borderVisible: false,
  },
  rightPriceScale: { borderVisible: false, minimumWidth: 68 },
  handleScroll: { vertTouchDrag: false },
};

/** The panes of one symbol in `holder`; knows drawing, not where the data comes from. */
export class Plot {
  constructor(holder, { font }) {
    this.chart = createChart(holder, STATIC);
    this.chart.applyOptions({ layout: { fontFamily: font } });
    this.volume = this.chart.addSeries(HistogramSeries, {
      ...QUIET, priceScaleId: "volume", priceFormat: { type: "volume" },
    });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.86, bottom: 0 } });
    this.candles = this.chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.16, bottom: 0.16 } });
    this.lines = this.addLines();
    this.markers = createSeriesMarkers(this.candles, []);
    this.levels = [];
    const [price, momentum] = this.chart.panes();
    price.setStretchFactor(5);
    momentum.setStretchFactor(2);
  }

  addLines() {
    const add = (pane, options) => this.chart.addSeries(LineSeries, options, pane);
    const lines = {
      ema: add(0, { ...QUIET, lineWidth: 2 }),
      lower: add(MOMENTUM_PANE, BAND),
      upper: add(MOMENTUM_PANE, BAND),
      d: add(MOMENTUM_PANE, WAVE),
      k: add(MOMENTUM_PANE, WAVE),
    };
    lines.k.priceScale().applyOptions({ scaleMargins: { top: 0.24, bottom: 0.08 } });
    return lines;
  }

  /** Draw rows from place `from` on; `all` redraws everything and keeps what is in view. */
  draw(rows, { from, all }) {
    if (from === null) return;
    const redraw = all || rows.length - from > 20;
    const changed = redraw ? rows : rows.slice(from);
    if (redraw) this.setPrecision(rows);
    for (const [series, item] of this.items()) {
      if (redraw) series.setData(changed.map(item));
      else for (const row of changed) series.update(item(row));
    }
  }

  items() {
    const value = (name) => (row) => {
      const [time, number] = [get(row, "time"), get(row, name)];
      return number === null ? { time } : { time, value: number };
    };
    const lines = Object.entries(this.lines).map(([name, series]) => [series, value(name)]);
    return [[this.candles, candle], [this.volume, (row) => this.volumeBar(row)], ...lines];
  }

  volumeBar(row) {
    const rises = get(row, "close") >= get(row, "open");
    const color = fade(this.look[rises ? "up" : "down"], 0.22);
    return { time: get(row, "time"), value: get(row, "volume"), color };
  }

  setPrecision(rows) {
    this.digits = decimals(rows.slice(-50).map((row) => get(row, "close")));
    const priceFormat = { type: "price", precision: this.digits, minMove: 10 ** -this.digits };
    this.candles.applyOptions({ priceFormat });
    this.lines.ema.applyOptions({ priceFormat });
  }

  /** Mark bars: arrows up below what was bought, down above what was sold, dots above corrected. */
  setMarkers(marks) {
    this.marks = marks;
    this.markers.setMarkers(marks.map(({ bar, what }) => ({ time: bar, ...this.mark(what) })));
  }

  mark(what) {
    return {
      buy: { position: "belowBar", shape: "arrowUp", color: this.look.buy, size: 1.5 },
      sell: { position: "aboveBar", shape: "arrowDown", color: this.look.sell, size: 1.5 },
      corrected: { position: "aboveBar", shape: "circle", color: this.look.warning, size: 0.7 },
    }[what];
  }

  /** Draw entry, stop and target of a position; none of them while it is null. */
  setPosition(position) {
    this.position = position;
    for (const line of this.levels) this.candles.removePriceLine(line);
    const present = Object.entries(LEVELS).filter(([name]) => position?.[name] != null);
    this.levels = present.map(([name, { title, role, lineStyle }]) =>
      this.candles.createPriceLine({
        price: position[name], title, lineStyle, color: this.look[role], lineWidth: 1,
        axisLabelVisible: true,
      }));
  }

  /** Paint everything in the colours of a theme. */
  setLook(look, rows) {
    this.look = look;
    this.chart.applyOptions(chrome(look));
    this.candles.applyOptions({
      upColor: look.up, downColor: look.down, wickUpColor: look.up, wickDownColor: look.down,
    });
    const roles = { ema: "ema", k: "fast", d: "slow", lower: "muted", upper: "muted" };
    for (const [name, role] of Object.entries(roles)) {
      const faded = role === "muted" ? fade(look.muted, 0.6) : look[role];
      this.lines[name].applyOptions({ color: faded });
    }
    this.volume.setData(rows.map((row) => this.volumeBar(row)));
    this.setMarkers(this.marks ?? []);
    this.setPosition(this.position ?? null);
  }

  /** Show times as `clock` formats them. */
  setClock(clock) {
    this.chart.applyOptions({
      localization: { timeFormatter: clock.full },
      timeScale: { tickMarkFormatter: clock.tick },
    });
  }

  /** Return the distance in pixels from the top of the drawing to the StochRSI pane. */
  momentumTop() {
    return this.chart.panes()[0].getHeight() + 1;
  }

  remove() {
    this.chart.remove();
  }
}

// The room above 100, where the legend stands, has no values.
function percentLabel(value) {
  return value < 0 || value > 100 ? "" : value.toFixed(0);
}

const candle = (row) => ({
  time: get(row, "time"),
  open: get(row, "open"),
  high: get(row, "high"),
  low: get(row, "low"),
  close: get(row, "close"),
});

const chrome = (look) => ({
  layout: {
    background: { color: look.surface },
    textColor: look.muted,
    panes: { separatorColor: look.line, separatorHoverColor: look.line },
  },
  grid: { vertLines: { color: look.grid }, horzLines: { color: look.grid } },
  crosshair: {
    vertLine: { color: look.muted, labelBackgroundColor: look.muted },
    horzLine: { color: look.muted, labelBackgroundColor: look.muted },
  },
});
