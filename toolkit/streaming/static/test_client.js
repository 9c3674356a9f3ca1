// The test client: makes the connection, and hands what comes to the parts of the page.
import { LatencyChart } from "./test_client/chart.js";
import { CommandBox } from "./test_client/commands.js";
import { Detail } from "./test_client/detail.js";
import { at, element, write } from "./test_client/dom.js";
import { Feed } from "./test_client/feed.js";
import { MessageList } from "./test_client/list.js";
import { Meter, Rates } from "./test_client/meter.js";
import { Monitor } from "./test_client/monitor.js";
import { SubscriptionManager } from "./test_client/subscriptions.js";
import { count, milliseconds, STREAMS } from "./test_client/words.js";

const LIST_MS = 80;
const TARGET_MS = 50;
const LEGEND = [["p50", "p50"], ["p95", "p95"], ["p99", "p99"], ["good", "target"]];

let client = null;
let drawnAt = 0;
const current = () => client;
const feed = new Feed();
const meter = new Meter();
const detail = new Detail();
const monitor = new Monitor({ client: current, rates: new Rates(), target: TARGET_MS });
const chart = new LatencyChart(at("chart"), at("tip"), meter);
const list = new MessageList(at("list"), at("rows"), {
  feed, onChoose: (entry) => detail.show(entry), onHold: () => showHold(),
});
const commands = new CommandBox({ client: current });
const subscriptions = new SubscriptionManager({
  client: current, onProblem: (error) => monitor.problem(error), onChange: () => monitor.say(""),
});

function receive(message) {
  const latency = client.latencyOf(message);
  if (latency !== null) meter.add(latency);
  feed.push({ message, latency, received: new Date(), text: undefined });
}

function receiveGap({ stream, ...gap }) {
  const received = new Date();
  const message = {
    stream_type: stream, symbol: null, seq: gap.from, timestamp: received.toISOString(),
    data: { kind: "gap", ...gap },
  };
  feed.push({ message, latency: null, received, text: undefined });
}

function connect(token) {
  client?.disconnect();
  client = new TradingBotWebSocketClient(location.origin, {
    token: token || undefined, name: "test client", pingInterval: 2_500, latencyTarget: TARGET_MS,
  });
  monitor.on(client);
  client.on("stream_data", receive);
  client.on("latency_update", (update) => monitor.measured(update));
  client.on("connected", ({ role, config }) => welcome(role, config));
  client.on("gap", receiveGap);
}

function welcome(role, { symbols = [] }) {
  subscriptions.offer(symbols);
  commands.offer(role, symbols);
  const chosen = at("by-symbol").value;
  at("by-symbol").replaceChildren(new Option("All symbols", ""), ...symbols.map((name) => new Option(name)));
  at("by-symbol").value = symbols.includes(chosen) ? chosen : "";
  // The first look should show life; on later connections the client asks for the same again.
  if (client.stats().reconnects === 0 && !client.subscriptions.length) {
    client.subscribe(STREAMS).then(() => subscriptions.draw(), (error) => monitor.problem(error));
  }
}

function showHold() {
  at("pause").textContent = feed.held ? "Go on" : "Pause";
  at("pause").setAttribute("aria-pressed", String(feed.held));
}

function toggle() {
  if (feed.held) {
    feed.release();
    list.toTop();
  } else {
    feed.hold();
  }
  showHold();
}

function clear() {
  feed.clear();
  list.forget();
  detail.show(null);
}

function drawList() {
  list.draw();
  const shown = Math.min(feed.rows.length, feed.size);
  write(at("shown"), feed.filtered ? `${count(shown)} of ${count(feed.kept)}` : `last ${count(shown)}`);
  at("empty").hidden = shown > 0;
  write(at("empty"), feed.filtered && feed.kept ? "No message passes the filter." : "Nothing yet. Subscribe to a stream.");
  at("newer").hidden = !feed.held || !feed.newer;
  write(at("newer"), `${count(feed.newer)} newer`);
}

function drawLegend() {
  const last = meter.bins.findLast(Boolean);
  LEGEND.forEach(([key, label], index) => {
    const value = label === "target" ? TARGET_MS : last?.[key] ?? null;
    write(at("legend").children[index].lastElementChild, label === "target" ? `${value} ms` : milliseconds(value));
  });
}

function frame(now) {
  if (meter.turn()) {
    chart.draw();
    drawLegend();
  }
  if (now - drawnAt >= LIST_MS) {
    drawnAt = now;
    drawList();
  }
  requestAnimationFrame(frame);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const does = { p: toggle, c: clear, "/": () => at("by-text").focus() }[event.key.toLowerCase()];
  if (!does) return;
  event.preventDefault();
  does();
}

function start() {
  at("by-stream").append(...STREAMS.map((name) => new Option(name)));
  at("legend").replaceChildren(...LEGEND.map(([name, label]) => {
    const mark = element("i");
    mark.style.setProperty("--tag", `var(--${name})`);
    return element("li", "", mark, label, element("b", "", "–"));
  }));
  at("by-stream").addEventListener("change", ({ target }) => feed.filter({ stream: target.value }));
  at("by-symbol").addEventListener("change", ({ target }) => feed.filter({ symbol: target.value }));
  at("by-text").addEventListener("input", ({ target }) => feed.filter({ text: target.value }));
  at("pause").addEventListener("click", toggle);
  at("newer").addEventListener("click", toggle);
  at("clear").addEventListener("click", clear);
  at("disconnect").addEventListener("click", () => client.disconnect());
  at("connect").addEventListener("submit", (event) => {
    event.preventDefault();
    monitor.say("");
    connect(at("token").value);
  });
  addEventListener("keydown", key);
  chart.target = TARGET_MS;
  connect();
  monitor.draw();
  subscriptions.draw();
  setInterval(() => monitor.draw(), 1_000);
  requestAnimationFrame(frame);
}

start();
