"""JavaScript of the pictures of research: themes, detail on zoom, room on a phone."""

from __future__ import annotations

# Nothing that these change is told to a server, where there is one: it is of this page only.

# Paint the models in the colours of the page's theme, now and whenever that changes. The page's
# observers hold `root` weakly, so that a picture that was taken away is not kept.
FOLLOW_THEME = r"""
if (root._painted !== undefined) return
root._painted = "light"
const ground = (element) => {
  const found = getComputedStyle(element).backgroundColor.match(/[\d.]+/g)?.map(Number)
  return found && (found.length < 4 || found[3] > 0.5) ? found : null
}
const page = () => {
  const {body, documentElement: html} = document
  if (body.dataset.jpThemeLight !== undefined)
    return body.dataset.jpThemeLight == "true" ? "light" : "dark"
  const kind = body.dataset.vscodeThemeKind
  if (kind) return /dark|contrast$/.test(kind) ? "dark" : "light"
  const [r, g, b] = ground(body) ?? ground(html) ?? [255, 255, 255]
  return 0.3 * r + 0.6 * g + 0.1 * b < 128 ? "dark" : "light"
}
root._paint = (name) => {
  if (name == root._painted) return
  root._painted = name
  document.documentElement.dataset.tkPainted = name
  const colour = (role) => themes[name][role]
  for (const [model, attribute, role, spec] of paints) {
    const value = Array.isArray(role) ? role.map(colour) : colour(role)
    model.setv({[attribute]: spec ? {value} : value}, {sync: false})
  }
  const ground = colour("surface")
  const styles = {...root.styles, "background-color": ground, "--tk-ground": ground}
  root.setv({styles}, {sync: false})
  // Legends that were painted lose their room until all is laid out anew.
  requestAnimationFrame(() => {
    for (const plot of plots) {
      plot._nudged = !plot._nudged
      const min_border_top = (plot.min_border_top ?? 4) + (plot._nudged ? 1 : -1)
      plot.setv({min_border_top}, {sync: false})
    }
  })
}
root._paint(page())
const held = new WeakRef(root)
const tell = (name) => {
  const kept = held.deref()
  if (kept?.document != null) kept._paint(name)
  else leave()
}
const look = () => tell(page())
const observer = new MutationObserver(look)
for (const element of [document.body, document.documentElement])
  observer.observe(element, {attributes: true})
const system = matchMedia("(prefers-color-scheme: dark)")
const leave = () => {
  observer.disconnect()
  system.removeEventListener("change", look)
}
system.addEventListener("change", look)
"""

# Ticks at round times over bar numbers; `clock` has the time of every `step`-th bar.
CLOCK_TICKS = """
const {time} = clock.data
const n = time.length
if (n == 0) return []
const first = Math.max(1, Math.ceil(cb_data.range.start / step))
const last = Math.min(n - 1, Math.floor(cb_data.range.end / step))
const width = plot.properties.inner_width.is_unset ? 600 : plot.inner_width
const room = Math.max(2, Math.floor(width / 92))
const pace = n > 1 ? (time[n - 1] - time[0]) / (n - 1) : 60000
const minutes = [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720,
  1440, 2880, 10080, 20160, 43200, 86400, 129600, 259200, 525600]
let ticks = []
for (const size of minutes.map((m) => m * 60000)) {
  // Where bars have pauses between them their pace is slower than within: a generous bound.
  if ((last - first) * pace / size > room * 12) continue
  ticks = []
  for (let i = first; i <= last; i++) {
    if (Math.floor(time[i] / size) != Math.floor(time[i - 1] / size)) ticks.push(i * step)
  }
  if (ticks.length <= room) break
}
// Days that are far from each other by time may stand close to each other by bars.
const gap = (cb_data.range.end - cb_data.range.start) / width * 58
return ticks.filter((tick, i) => i == 0 || tick - ticks[i - 1] >= gap)
"""

CLOCK_LABEL = """
const {time} = clock.data
const at = (x) => time[Math.round(x / step)]
const t = at(tick)
if (t === undefined) return ""
const day = 86400000
const date = (options) =>
  new Date(t).toLocaleDateString("en-GB", {...options, timeZone: "UTC"})
const before = index > 0 ? at(ticks[index - 1]) : undefined
const same = (length) => before !== undefined &&
  new Date(before).toISOString().slice(0, length) == new Date(t).toISOString().slice(0, length)
const clock_time = new Date(t).toISOString().slice(11, 16)
const far = ticks.length > 1 ? at(ticks[1]) - at(ticks[0]) >= day : false
if (far || !same(10)) {
  if (far && !same(4)) return date({day: "numeric", month: "short", year: "numeric"})
  const before_it = at(tick - step) ?? 0
  const begins = Math.floor(before_it / day) != Math.floor(t / day)
  return date({day: "numeric", month: "short"}) + (far || begins ? "" : ` ${clock_time}`)
}
return clock_time
"""

# As many bars to a point as the screen needs for what is in view; see `reduction.reduced`.
DETAIL = """
const n = full.data.time.length
const first = Math.max(0, Math.floor(view.start))
const last = Math.min(n - 1, Math.ceil(view.end))
const span = last - first + 1
if (span < 1) return
let size = 1
while (span / size > most) size *= 2
const shown = bars._shown
if (shown && shown.size == size && first >= shown.from && last < shown.to) return
const from = Math.max(0, Math.floor((first - span / 2) / size) * size)
const to = Math.min(n, Math.ceil(last + span / 2) + 1)
const data = {x: [], left: [], right: []}
for (const name in tracks) data[name] = []
for (let start = from; start < to; start += size) {
  const stop = Math.min(start + size, n) - 1
  const middle = (start + stop) / 2, half = 0.35 * (stop - start + 1)
  data.x.push(middle)
  data.left.push(middle - half)
  data.right.push(middle + half)
  for (const name in tracks) {
    const [source, how] = tracks[name]
    const column = full.data[source]
    let value = column[how == "first" ? start : stop]
    if (how == "exact" && size > 1) value = NaN
    if (how == "min" || how == "max") {
      for (let i = start; i < stop; i++) {
        const other = column[i]
        if (Number.isNaN(value) || (how == "min" ? other < value : other > value)) value = other
      }
    }
    data[name].push(value)
  }
}
bars._shown = {size, from, to: to == n ? Infinity : to}
bars.setv({data}, {sync: false})
for (const [plot, exact, coarse] of titles) {
  const text = size == 1 ? exact : coarse.replace("#", size.toLocaleString("en-US"))
  plot.title.setv({text}, {sync: false})
}
"""

# One line above the panes: the bar under the pointer, or the newest.
READOUT = """
const {x, time} = bars.data
const n = x.length
if (n == 0) return
let i = n - 1
if (cb_obj.event_name == "mousemove" && cb_obj.x != null) {
  let low = 0
  while (low < i) {
    const middle = (low + i) >> 1
    if (x[middle + 1] !== undefined && (x[middle] + x[middle + 1]) / 2 < cb_obj.x) low = middle + 1
    else i = middle
  }
}
const number = (v, places) =>
  v.toLocaleString("en-US", {minimumFractionDigits: places, maximumFractionDigits: places})
const when = new Date(time[i]).toISOString().slice(0, 16).replace("T", " ")
const parts = [`<span><i>${when} UTC</i></span>`]
for (const [column, name, places, unit] of readings) {
  const value = bars.data[column][i]
  if (value == null || Number.isNaN(value)) continue
  parts.push(`<span><i>${name}</i>${number(value, places)}${unit}</span>`)
}
line.setv({text: parts.join("")}, {sync: false})
"""

# A finger scrolls the page; only a mouse drags the picture.
TOUCH = """
if (matchMedia("(pointer: coarse)").matches)
  for (const tool of plot.toolbar.tools)
    if ("active" in tool && tool.active) tool.setv({active: false}, {sync: false})
"""

# What is written in a row takes rows below each other where the plot is too narrow for it.
FIT_LEGEND = """
const room = Math.min(innerWidth, plot.outer_width)
const narrow = room < needed
const orientation = narrow ? "vertical" : "horizontal"
legend.setv({orientation, spacing: narrow ? 0 : 12}, {sync: false})
"""

FIT_TITLE = """
const {title} = plot
if (title._broken != title.text) title._whole = title.text
const letters = Math.max(16, (Math.min(innerWidth, plot.outer_width) - left) / 6.6)
const lines = [""]
for (const word of title._whole.split(" ")) {
  const longer = (lines[lines.length - 1] + " " + word).trim()
  if (longer.length > letters && lines[lines.length - 1]) lines.push(word)
  else lines[lines.length - 1] = longer
}
title._broken = lines.join("\\n")
if (title.text == title._broken) return
title.setv({text: title._broken}, {sync: false})
// A title that got another height is painted over its old self unless all is laid out anew.
requestAnimationFrame(() => {
  plot._nudged = !plot._nudged
  const min_border_top = (plot.min_border_top ?? 4) + (plot._nudged ? 1 : -1)
  plot.setv({min_border_top}, {sync: false})
})
"""

FIT_CELLS = """
const wide = plot.inner_width / columns >= least
for (const text of texts) text.setv({visible: wide}, {sync: false})
"""

# Trades are marked while so few are in view that the price can be seen beneath them.
MARKS = """
const {entry_x, exit_x} = trades.data
let met = 0
for (let i = 0; i < entry_x.length && met <= most; i++)
  if (exit_x[i] >= view.start && entry_x[i] <= view.end) met++
const visible = met <= most
for (const mark of marks) if (mark.visible != visible) mark.setv({visible}, {sync: false})
"""
