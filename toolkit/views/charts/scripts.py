"""JavaScript that figures run in the browser, so that panning and hovering need no server."""

from __future__ import annotations

# Ticks at round times. `bars` and `plot` are arguments; positions are bar numbers, not times.
TICKS = """
const {x, time} = bars.data
const n = x.length
if (n == 0) return []
const {start, end} = cb_data.range
const first = Math.max(1, Math.ceil(start - x[0]))
const last = Math.min(n - 1, Math.floor(end - x[0]))
const width = plot.properties.inner_width.is_unset ? 600 : plot.inner_width
const room = Math.max(2, Math.floor(width / 84))
const minutes = [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720,
  1440, 2880, 10080, 20160, 43200, 129600]
let ticks = []
for (const step of minutes) {
  const size = step * 60000
  ticks = []
  for (let i = first; i <= last; i++) {
    if (Math.floor(time[i] / size) != Math.floor(time[i - 1] / size)) ticks.push(x[i])
  }
  if (ticks.length <= room) break
}
return ticks
"""

TICK_LABEL = """
const {x, time} = bars.data
const t = time[tick - x[0]]
if (t === undefined) return ""
const date = new Date(t)
const day = 86400000
const before = index > 0 ? time[ticks[index - 1] - x[0]] : undefined
const new_day = before !== undefined && Math.floor(before / day) != Math.floor(t / day)
if (new_day || t % day == 0) {
  return date.toLocaleDateString("en-GB", {day: "numeric", month: "short", timeZone: "UTC"})
}
return date.toISOString().slice(11, 16)
"""

# Keep the newest bar in view, unless the user has scrolled back; on new data and on a double
# click, go to the newest. `view.tags` holds the x of the newest bar seen so far.
FOLLOW = """
const x = bars.data.x
if (x.length == 0) return
const newest = x[x.length - 1]
const seen = view.tags[0]
if (cb_obj.event_name == "doubletap" || seen === undefined || newest < seen) {
  view.setv({start: Math.max(x[0] - 1, newest + 3 - visible), end: newest + 3})
} else if (newest > seen && view.end >= seen) {
  view.setv({start: view.start + newest - seen, end: view.end + newest - seen})
}
view.setv({tags: [newest]}, {silent: true})
"""

BODY_MIDDLE = "const open = bars.data.open; return xs.map((close, i) => (close + open[i]) / 2)"
BODY_HEIGHT = "const open = bars.data.open; return xs.map((close, i) => Math.abs(close - open[i]))"

# One line above the chart: the bar under the pointer, or the newest.
LEGEND = """
const {x, time, open, high, low, close, ema, k, d} = bars.data
const n = x.length
const at = cb_obj.event_name == "mousemove" && cb_obj.x != null ? Math.round(cb_obj.x) : null
if (cb_obj.event_name == "mousemove") legend._at = at
if (cb_obj.event_name == "mouseleave") legend._at = null
if (n == 0) { legend.setv({text: "<span class='wait'>Waiting for the first bar</span>"}); return }
const pointed = legend._at == null ? n - 1 : legend._at - x[0]
const i = Math.max(0, Math.min(n - 1, pointed))
const digits = Math.abs(close[i]) >= 1 ? 2 : 6
const number = (v, places) => v == null || Number.isNaN(v) ? "–" :
  v.toLocaleString("en-US", {minimumFractionDigits: places, maximumFractionDigits: places})
const item = (name, v, places, kind) =>
  `<span class="${kind}"><i>${name}</i>${number(v, places)}</span>`
let j = i  // a forming bar has no indicators yet: without a pointer, show those of the last close
while (legend._at == null && j > 0 && j > i - 2 && Number.isNaN(ema[j])) j--
const late = j < i ? " late" : ""
const direction = close[i] >= open[i] ? "up" : "down"
const when = new Date(time[i]).toISOString().slice(0, 16).replace("T", " ")
legend.setv({text: `<span class="when">${when} UTC</span>` +
  item("O", open[i], digits, direction) + item("H", high[i], digits, direction) +
  item("L", low[i], digits, direction) + item("C", close[i], digits, direction) +
  item("EMA", ema[j], digits, "ema" + late) +
  item("%K", k[j], 1, "fast" + late) + item("%D", d[j], 1, "slow" + late)})
"""

LAST_PRICE = """
const {close} = bars.data
const n = close.length
line.setv(n == 0 ? {visible: false} : {location: close[n - 1], visible: true})
"""

SHOW_ALL = "view.setv({start: -1, end: count})"
