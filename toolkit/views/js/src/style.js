// Style of what surrounds the drawing. Colours are custom properties that the theme sets.

export const STYLE = `
.tk-chart {
  container-type: inline-size; position: relative; display: flex; flex-direction: column;
  box-sizing: border-box; width: 100%; min-width: 0; overflow: hidden;
  font-family: var(--tk-font); font-size: 12px; line-height: 18px;
  font-variant-numeric: tabular-nums; color: var(--tk-text); background: var(--tk-surface);
  border: 1px solid var(--tk-line); border-radius: 6px;
}
.tk-head {
  display: flex; align-items: center; gap: 10px; padding: 7px 12px; white-space: nowrap;
  border-bottom: 1px solid var(--tk-line);
}
.tk-symbol { font-size: 14px; font-weight: 600; }
.tk-frame, .tk-label { color: var(--tk-muted); }
.tk-price { font-size: 14px; font-weight: 600; }
.tk-holding {
  display: inline-flex; gap: 6px; padding: 0 7px; border-radius: 4px;
  background: var(--tk-raised);
}
.tk-space { flex: 1; }
.tk-gate {
  flex: 0 1 auto; min-width: 40px; overflow: hidden; text-overflow: ellipsis;
  padding: 0 7px; border-radius: 4px; color: var(--tk-warning); background: var(--tk-raised);
}
.tk-gate.tk-grave { color: var(--tk-loss); }
.tk-state { display: inline-flex; align-items: center; gap: 6px; color: var(--tk-muted); }
.tk-state::before {
  content: ""; width: 7px; height: 7px; border-radius: 50%; background: currentColor;
}
.tk-state[data-state="connected"]::before { background: var(--tk-up); }
.tk-state:not([data-state="connected"]) { color: var(--tk-warning); }
.tk-state[data-state="disconnected"]::before,
.tk-state[data-state="closed"]::before { background: none; box-shadow: inset 0 0 0 2px; }
.tk-zone {
  font: inherit; color: var(--tk-muted); background: transparent; cursor: pointer;
  border: 1px solid transparent; border-radius: 4px; padding: 0 2px; margin: 0;
  field-sizing: content;
}
.tk-zone:hover, .tk-zone:focus-visible { border-color: var(--tk-line); color: var(--tk-text); }
.tk-zone option { color: var(--tk-text); background: var(--tk-surface); }
.tk-plot { position: relative; flex: 1; min-height: 0; }
.tk-legend {
  position: absolute; z-index: 3; left: 12px; right: 80px; pointer-events: none;
  display: flex; flex-wrap: wrap; column-gap: 10px;
}
.tk-legend > span { white-space: nowrap; }
.tk-label { margin-right: 4px; }
.tk-ema { color: var(--tk-ema); }
.tk-k { color: var(--tk-fast); }
.tk-d { color: var(--tk-slow); }
.tk-rise { color: var(--tk-buy); }
.tk-fall { color: var(--tk-down); }
.tk-tip {
  position: absolute; z-index: 4; pointer-events: none; padding: 5px 9px; border-radius: 4px;
  background: var(--tk-raised); border: 1px solid var(--tk-line); white-space: nowrap;
  box-shadow: 0 2px 8px rgb(0 0 0 / 0.16);
}
.tk-latest {
  position: absolute; z-index: 3; right: 80px; bottom: 36px; width: 26px; height: 26px;
  border-radius: 50%; border: 1px solid var(--tk-line); background: var(--tk-raised);
  color: var(--tk-text); cursor: pointer; font: inherit; padding: 0;
}
.tk-empty {
  position: absolute; inset: 0; z-index: 2; display: grid; place-items: center;
  color: var(--tk-muted); pointer-events: none;
}
.tk-chart [hidden] { display: none; }
@container (max-width: 620px) { .tk-chart .tk-wide { display: none; } }
@container (max-width: 440px) {
  .tk-head { gap: 7px; padding: 6px 9px; }
  .tk-legend { left: 9px; column-gap: 8px; }
  .tk-chart .tk-roomy { display: none; }
}
@container (max-width: 340px) { .tk-frame, .tk-holding > :first-child { display: none; } }
`;
