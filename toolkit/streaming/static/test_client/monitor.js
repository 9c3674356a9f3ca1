import { at, element, write, writeFacts } from "./dom.js";
import { entryWords, gateNews, grave } from "./gates.js";
import { bytes, clock, colour, count, duration, milliseconds, STREAMS } from "./words.js";

const LOGGED = 100;

/* State, figures and events of the connection. */
export class Monitor {
  constructor({ client, rates, target }) {
    this._client = client;
    this._target = target;
    this._rates = rates;
    this._rows = new Map();
    this._lastGap = "nothing missing";
    this._server = {};
    this._health = null;
  }

  on(client) {
    this._server = {};
    this._health = null;
    this._lastGap = "nothing missing";
    this._state("wait", "connecting", null);
    client.on("connected", ({ role }) => this._state("good", "connected", `connected as ${role}`));
    client.on("disconnected", ({ reason }) => this._state("bad", "disconnected", reason));
    client.on("reconnecting", ({ attempt, attempts, delay, reason }) => {
      const which = `attempt ${attempt}${Number.isFinite(attempts) ? ` of ${attempts}` : ""}`;
      this._state("wait", `reconnecting, ${which}`, `${which} in ${duration(delay / 1000)}: ${reason}`);
    });
    client.on("heartbeat", (beat) => { this._server = beat; });
    client.on("gap", (gap) => {
      this._lastGap = `${gap.stream} ${gap.from}–${gap.to ?? "?"}, ${gap.reason}`;
      this.log("bad", `gap in ${this._lastGap}`);
    });
    client.on("alert", ({ code, message }) => this.log(code.endsWith("_ok") ? "good" : "wait", message));
    client.on("stream_system_health", ({ data }) => this._report(data));
    client.on("config_changed", (changes) => this.log("wait", `the server changed ${JSON.stringify(changes)}`));
    client.on("error", (error) => this.problem(error));
  }

  _report(data) {
    if (data.kind !== "health") return;
    for (const [mood, text] of gateNews(this._health, data)) this.log(mood, text);
    this._health = data;
    const gates = (data.gates ?? []).map((gate) => {
      const since = element("time", "", clock(new Date(gate.since)));
      since.dateTime = gate.since;
      const what = element("b", "", gate.symbol ? `${gate.gate} ${gate.symbol}` : gate.gate);
      return element("li", grave(gate) ? "bad" : "wait", what, since, element("span", "", gate.reason));
    });
    at("gates").replaceChildren(...gates);
    at("gates").hidden = !gates.length;
  }

  problem(error) {
    this.say(error.message);
    this.log("bad", error.message);
    if (this._client().state === "disconnected") this._state("bad", "not connected", null);
  }

  say(text) {
    at("notice").textContent = text;
    at("notice").hidden = !text;
  }

  log(mood, text) {
    const now = new Date();
    const stamp = element("time", "", clock(now));
    stamp.dateTime = now.toISOString();
    at("log").prepend(element("li", "", stamp, element("span", mood, text)));
    while (at("log").childElementCount > LOGGED) at("log").lastElementChild.remove();
  }

  /* Once a second. */
  draw() {
    const client = this._client();
    const stats = client.stats();
    const latency = client.latency();
    const totals = Object.entries(stats.streams).map(([name, { messages }]) => [name, messages]);
    const rates = this._rates.look({ all: stats.messagesReceived, bytes: stats.bytesReceived, ...Object.fromEntries(totals) });
    this._tiles(stats, latency, rates);
    this._spark();
    this._facts(client, stats, latency);
    this._statistics(stats, latency, rates);
  }

  /* After each ping. */
  measured({ roundTripMs, uncertaintyMs }) {
    write(at("trip"), `${milliseconds(roundTripMs)} ms`);
    write(at("offset"), uncertaintyMs === null ? "clock –" : `clock ± ${milliseconds(uncertaintyMs)} ms`);
  }

  _state(mood, text, event) {
    at("state").className = `state ${mood}`;
    write(at("state"), text);
    if (mood === "good") this.say("");
    if (event) this.log(mood, event);
  }

  _tiles(stats, latency, rates) {
    write(at("rate"), count(Math.round(rates.all)));
    write(at("total"), `${count(stats.messagesReceived)} in all, ${bytes(rates.bytes)}/s`);
    write(at("p99"), latency.p99 === null ? "–" : `${milliseconds(latency.p99)} ms`);
    at("p99").className = latency.p99 === null ? "" : latency.p99 <= this._target ? "good" : "bad";
    write(at("p50"), latency.count ? `median ${milliseconds(latency.p50)} ms` : "one way");
    write(at("gaps"), count(stats.gaps));
    at("gaps").className = stats.gaps ? "bad" : "";
    write(at("gap-last"), this._lastGap);
    write(at("skipped"), count(stats.skipped));
  }

  _spark() {
    const { history } = this._rates;
    const most = Math.max(1, ...history);
    const points = history.map((value, index) => `${((index + 61 - history.length) * 2 - 2).toFixed(1)},${(29 - (value / most) * 26).toFixed(1)}`);
    const [area, line] = at("spark").children;
    line.setAttribute("d", points.length > 1 ? `M${points.join("L")}` : "");
    area.setAttribute("d", points.length > 1 ? `M${points[0].split(",")[0]},30L${points.join("L")}L120,30Z` : "");
  }

  _facts(client, stats, latency) {
    const { server_status: status, active_clients: clients } = this._server;
    writeFacts(at("facts"), {
      State: client.state,
      Role: client.role || "–",
      Epoch: client.epoch ?? "–",
      "This connection": client.connectionId || "–",
      "Connected for": stats.connectionUptime ? duration(stats.connectionUptime) : "–",
      Reconnects: String(stats.reconnects),
      Received: bytes(stats.bytesReceived),
      "Clock offset": latency.offsetMs === null ? "–" : `${milliseconds(latency.offsetMs)} ms`,
      Bot: this._health?.state ?? "–",
      Data: this._health?.market ?? "–",
      Broker: this._health?.broker ?? "–",
      Entries: entryWords(this._health),
      Server: status ? `${status}, ${clients} client${clients === 1 ? "" : "s"}` : "–",
    });
  }

  _statistics(stats, latency, rates) {
    const names = STREAMS.filter((name) => stats.streams[name]);
    if (names.some((name) => !this._rows.has(name)) || this._rows.size > names.length) this._layOut(names);
    for (const name of names) {
      const { messages, gaps } = stats.streams[name];
      const cells = this._rows.get(name).children;
      const p99 = latency.streams[name]?.p99 ?? null;
      write(cells[1], rates[name] < 10 ? String(Math.round(rates[name] * 10) / 10) : count(Math.round(rates[name])));
      write(cells[2], count(messages));
      write(cells[3], milliseconds(p99));
      write(cells[4], count(gaps));
      cells[4].className = gaps ? "bad" : "";
      this._rows.get(name).className = rates[name] ? "" : "quiet";
    }
  }

  _layOut(names) {
    this._rows = new Map(names.map((name) => {
      const row = element("tr", "", ...Array.from({ length: 5 }, () => element("td")));
      row.firstElementChild.textContent = name;
      row.style.setProperty("--tag", colour(name));
      return [name, row];
    }));
    at("statistics").replaceChildren(...this._rows.values());
  }
}
