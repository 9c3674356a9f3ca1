"use strict";

const ROWS = 200;
const STREAMS = [
  "market_data", "signals", "orders", "positions",
  "account", "system_health", "performance_metrics", "parameters",
];
const at = (id) => document.getElementById(id);

let client = null;
let paused = false;
let gaps = 0;
let lastCount = 0;
let waiting = [];

function say(text) {
  at("notice").textContent = text;
  at("notice").hidden = !text;
}

function show(state, text) {
  at("state").className = `state ${state}`;
  at("state").textContent = text;
}

function describe(data) {
  if (data.kind === "bar") {
    const state = data.final ? "final" : "forming";
    return `${state} bar  O ${data.open}  H ${data.high}  L ${data.low}  C ${data.close}`;
  }
  if (data.kind === "quote") return `bid ${data.bid}  ask ${data.ask}`;
  const hidden = new Set(["kind", "symbol", "timestamp", "indicators", "price"]);
  const facts = Object.entries(data).filter(([key, value]) => !hidden.has(key) && value !== null);
  const texts = facts.map(([key, value]) =>
    `${key}=${typeof value === "object" ? JSON.stringify(value) : value}`);
  return `${data.kind}  ${texts.join("  ")}`.slice(0, 400);
}

function row(message) {
  const line = document.createElement("tr");
  const cells = [
    message.timestamp.slice(11, 23).replace("Z", ""), message.stream_type,
    message.symbol || "", message.snapshot ? `${message.seq} (snapshot)` : message.seq,
    describe(message.data),
  ];
  cells.forEach((text, index) => {
    const cell = document.createElement("td");
    cell.textContent = text;
    if (index === 4) cell.className = "detail";
    line.append(cell);
  });
  return line;
}

function draw() {
  if (waiting.length && !paused) {
    at("live").prepend(...waiting.reverse().map(row));
    waiting = [];
    while (at("live").childElementCount > ROWS) at("live").lastElementChild.remove();
    at("empty").hidden = true;
  }
  requestAnimationFrame(draw);
}

function count() {
  if (!client) return;
  const { messagesReceived, connectionUptime } = client.stats();
  at("messages").textContent = messagesReceived.toLocaleString();
  at("rate").textContent = (messagesReceived - lastCount).toLocaleString();
  at("uptime").textContent = connectionUptime ? `${Math.round(connectionUptime)} s` : "–";
  lastCount = messagesReceived;
}

function connect(token) {
  if (client) client.disconnect();
  lastCount = gaps = 0;
  at("gaps").textContent = 0;
  show("wait", "connecting");
  client = new TradingBotWebSocketClient(location.origin, { token: token || undefined });
  client.on("connected", (hello) => {
    say("");
    show("good", "connected");
    at("role").textContent = hello.role;
    at("symbols").placeholder = `all of ${hello.config.symbols.join(", ")}`;
  });
  client.on("disconnected", ({ reason }) => show("bad", `disconnected: ${reason}`));
  client.on("latency_update", ({ current }) => {
    at("latency").textContent = `${current.toFixed(1)} ms`;
  });
  client.on("gap", (gap) => {
    gaps += 1;
    at("gaps").textContent = gaps;
    say(`Gap in ${gap.stream}: messages ${gap.from} to ${gap.to ?? "?"} will not come (${gap.reason}).`);
  });
  client.on("error", (error) => {
    say(error.message);
    if (error.code === "auth_error") show("bad", "refused");
  });
  client.on("stream_data", (message) => {
    waiting.push(message);
    if (waiting.length > ROWS) waiting.shift();
  });
}

function chosen() {
  const streams = [...document.querySelectorAll("#streams input:checked")].map((i) => i.value);
  const symbols = at("symbols").value.split(",").map((s) => s.trim()).filter(Boolean);
  return [streams, symbols.length ? symbols : null];
}

function ask(work) {
  say("");
  work.catch((error) => say(error.message));
}

function start() {
  if (typeof io === "undefined") {
    show("bad", "not available");
    say("socket.io.min.js is missing in this installation: it is built with Node.js. "
      + "Install Node.js 18 or newer and run `make assets`; everything else works without it.");
    return;
  }
  STREAMS.forEach((stream) => {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: stream });
    box.checked = stream === "market_data";
    label.append(box, stream);
    at("streams").append(label);
  });
  at("connection").addEventListener("submit", (event) => {
    event.preventDefault();
    connect(at("token").value);
  });
  at("disconnect").addEventListener("click", () => client.disconnect());
  at("subscription").addEventListener("submit", (event) => {
    event.preventDefault();
    ask(client.subscribe(...chosen()));
  });
  at("unsubscribe").addEventListener("click", () => ask(client.unsubscribe(...chosen())));
  at("pause").addEventListener("click", () => {
    paused = !paused;
    at("pause").textContent = paused ? "Go on" : "Pause";
    at("pause").setAttribute("aria-pressed", String(paused));
  });
  at("clear").addEventListener("click", () => {
    at("live").replaceChildren();
    at("empty").hidden = false;
  });
  connect();
  setInterval(count, 1000);
  requestAnimationFrame(draw);
}

start();
