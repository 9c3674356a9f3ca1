"""Style of the tuner, in the colours of JupyterLab's theme, with our own where it has none."""

from __future__ import annotations

STYLE = """
.tk-tuner {
  --tk-t-text: var(--jp-ui-font-color1, #151a21);
  --tk-t-muted: var(--jp-ui-font-color2, #5b6675);
  --tk-t-line: var(--jp-border-color2, #dfe4ea);
  --tk-t-mark: var(--jp-brand-color1, #2460c8);
  --tk-t-wrong: var(--jp-error-color1, #b8401f);
  font-variant-numeric: tabular-nums; padding: 2px; width: 100%; overflow: hidden;
}
.tk-tuner .tk-cards {
  display: block; columns: 330px; column-gap: 10px; width: 100%; overflow: hidden;
}
.tk-tuner .tk-card {
  border: 1px solid var(--tk-t-line); border-radius: 6px; padding: 6px 10px 8px; overflow: hidden;
  break-inside: avoid; margin: 0 0 10px; width: auto; container-type: inline-size;
}
.tk-tuner .tk-title, .tk-tuner .tk-title label { font-weight: 600; color: var(--tk-t-text); }
.tk-tuner .tk-row {
  display: grid; align-items: center; column-gap: 8px; width: 100%; overflow: hidden;
  grid-template-columns: minmax(88px, 9em) minmax(56px, 1fr) 72px 5.6em;
  border-left: 3px solid transparent; padding-left: 5px; margin-left: -8px;
}
.tk-tuner .tk-row-switch { grid-template-columns: 1fr 5.6em; }
.tk-tuner .tk-row > * { width: auto; min-width: 0; margin: 1px 0; overflow: hidden; }
.tk-tuner .tk-row > .widget-slider, .tk-tuner .tk-row > .jupyter-widget-slider {
  padding: 0 8px; overflow: visible;
}
.tk-tuner .tk-row label, .tk-tuner .tk-row .widget-html-content {
  font-size: 12px; color: var(--tk-t-text); white-space: nowrap; text-overflow: ellipsis;
}
.tk-tuner .tk-row > :last-child .widget-html-content { color: var(--tk-t-muted); }
.tk-tuner .tk-row input[type="number"] { text-align: right; font-variant-numeric: tabular-nums; }
.tk-tuner .tk-changed { border-left-color: var(--tk-t-mark); }
.tk-tuner .tk-changed > :last-child .widget-html-content { color: var(--tk-t-mark); }
.tk-tuner .tk-wrong { border-left-color: var(--tk-t-wrong); }
.tk-tuner .tk-wrong > :last-child .widget-html-content { color: var(--tk-t-wrong); }
@container (max-width: 320px) {
  .tk-tuner .tk-row:not(.tk-row-switch) {
    column-gap: 5px; grid-template-columns: 88px minmax(56px, 1fr) 58px 4.6em;
  }
}
.tk-tuner .tk-buttons { align-items: center; flex-flow: row wrap; gap: 4px; width: 100%; }
.tk-tuner .tk-message { flex: 1 1 240px; min-width: 0; }
.tk-tuner .tk-message .widget-html-content { white-space: normal; line-height: 18px; }
.tk-tuner .tk-problem { color: var(--tk-t-wrong); }
.tk-tuner .tk-log { width: 100%; height: auto; }
.tk-tuner .tk-log .widget-html-content {
  font-size: 12px; line-height: 18px; color: var(--tk-t-muted); white-space: normal;
}
.tk-tuner .tk-log b { font-weight: 600; color: var(--tk-t-text); }
"""
