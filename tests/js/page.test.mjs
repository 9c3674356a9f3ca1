// What the test client page and the React hook are made of, without a browser.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Emitter } from "../../toolkit/streaming/js/src/emitter.js";
import { LiveStore } from "../../toolkit/streaming/js/src/store.js";

// As a browser does: these are modules although no package.json says so.
const load = async (name) => {
  const source = new URL(`../../toolkit/streaming/static/test_client/${name}`, import.meta.url);
  return import(`data:text/javascript,${encodeURIComponent(await readFile(source, "utf8"))}`);
};
const { Feed } = await load("feed.js");
const { Meter, Rates } = await load("meter.js");
const { entryWords, gateNews } = await load("gates.js");
const { bytes, describe, duration, milliseconds } = await load("words.js");

const entry = (number, stream = "orders", symbol = "AAPL") => ({
  message: { stream_type: stream, symbol, seq: number, data: { kind: "order", side: "Buy" } },
});
const numbers = (feed) => feed.rows.map(({ message }) => message.seq);

test("feed: never keeps more than twice its size, and the newest of them", () => {
  const feed = new Feed(10);
  for (let i = 1; i <= 1000; i += 1) {
    feed.push(entry(i));
    assert.ok(feed.rows.length < 20);
  }
  assert.deepEqual(numbers(feed).slice(-10), [991, 992, 993, 994, 995, 996, 997, 998, 999, 1000]);
  assert.equal(feed.kept, 10);
});

test("feed: stream, symbol and text must all pass, also for what came before", () => {
  const feed = new Feed();
  feed.push(entry(1));
  feed.push(entry(2, "orders", "MSFT"));
  feed.push(entry(3, "signals"));
  feed.filter({ stream: "orders" });
  assert.deepEqual(numbers(feed), [1, 2]);
  feed.filter({ symbol: "MSFT", text: "BUY" });
  assert.deepEqual(numbers(feed), [2]);
  feed.push(entry(4, "orders", "MSFT"));
  feed.push(entry(5));
  assert.deepEqual(numbers(feed), [2, 4]);
  feed.filter({ text: "sell" });
  assert.deepEqual(numbers(feed), []);
  feed.filter({ stream: "", symbol: "", text: "" });
  assert.deepEqual(numbers(feed), [1, 2, 3, 4, 5]);
});

test("feed: held, the picture stays and what comes is counted", () => {
  const feed = new Feed();
  feed.push(entry(1));
  feed.hold();
  feed.push(entry(2));
  assert.deepEqual([numbers(feed), feed.newer, feed.held], [[1], 1, true]);
  feed.release();
  assert.deepEqual([numbers(feed), feed.newer], [[1, 2], 0]);
  feed.hold();
  feed.clear();
  feed.push(entry(3));
  assert.deepEqual([numbers(feed), feed.newer], [[], 1]);
});

test("meter: percentiles of half a second, nothing where nothing came, two minutes at most", () => {
  let now = 0;
  const meter = new Meter(() => now, () => 0.5);
  for (let i = 1; i <= 100; i += 1) meter.add(i);
  assert.equal(meter.turn(), false);
  now = 500;
  assert.equal(meter.turn(), true);
  assert.deepEqual(meter.bins, [{ count: 100, p50: 50, p95: 95, p99: 99, max: 100 }]);
  now = 2_000; // three bins, in which the page slept
  meter.turn();
  assert.deepEqual(meter.bins.slice(1), [null, null, null]);
  now = 10_000_000;
  meter.turn();
  assert.equal(meter.bins.length, meter.size);
});

test("meter: of a flood a bounded sample is kept, its maximum exactly", () => {
  let now = 0;
  const meter = new Meter(() => now);
  for (let i = 0; i < 50_000; i += 1) meter.add(i % 100);
  meter.add(1234);
  now = 500;
  meter.turn();
  const [{ count, p50, max }] = meter.bins;
  assert.deepEqual([count, max], [50_001, 1234]);
  assert.ok(p50 > 30 && p50 < 70, String(p50));
});

test("rates: growth a second, also when a total starts again", () => {
  let now = 0;
  const rates = new Rates(() => now);
  now = 2_000;
  assert.deepEqual(rates.look({ all: 100, orders: 10 }), { all: 50, orders: 5 });
  now = 3_000;
  assert.deepEqual(rates.look({ all: 4, orders: 12 }), { all: 0, orders: 2 });
  assert.deepEqual(rates.history, [50, 0]);
});

test("words: numbers and messages as people read them", () => {
  assert.deepEqual([milliseconds(null), milliseconds(0.1234), milliseconds(12.34), milliseconds(1234)], ["–", "0.12", "12.3", "1,234"]);
  assert.deepEqual([bytes(900), bytes(2_500_000)], ["0.9 kB", "2.5 MB"]);
  assert.deepEqual([duration(59), duration(61), duration(3_700)], ["59 s", "1 min 1 s", "1 h 1 min"]);
  assert.equal(describe({ data: { kind: "quote", bid: 1, ask: 2 } }), "quote  bid 1  ask 2");
  assert.equal(describe({ data: { kind: "gap", from: 2, to: null, reason: "restart" } }), "messages 2 to ? will not come: restart");
  assert.equal(describe({ data: { kind: "fill", symbol: "A", side: "buy", price: 1.5, fee: null } }), "fill  side buy  price 1.5");
});

test("gates: the gravest reason, symbols that wait, and what has changed", () => {
  const halt = { gate: "halt", reason: "halted by anna", symbol: null, since: "t" };
  const closed = { gate: "market", reason: "closed", symbol: "AAPL", since: "t" };
  const health = (state, ...gates) => ({ kind: "health", state, reason: "", market: "alpaca:iex", broker: "alpaca:paper", bars: 3, gates });
  assert.equal(entryWords(null), "–");
  assert.deepEqual([[], [closed], [halt, closed]].map((gates) => entryWords(health("running", ...gates))), ["open", "open except AAPL", "closed: halt"]);
  assert.equal(entryWords(health("finished")), "closed");
  assert.deepEqual(gateNews(null, health("paused", halt)), [["bad", "no entries: halted by anna"]]);
  assert.deepEqual(gateNews(health("paused", halt), health("running", closed)), [["good", "opened: halt"], ["wait", "no entries: AAPL, closed"]]);
  assert.deepEqual(gateNews(health("running", closed), health("running", { ...closed })), []);
  assert.equal(describe({ data: health("paused", halt, closed) }), "health  paused  gates halt, market AAPL  bars 3");
  assert.equal(describe({ data: { kind: "bar", final: true, revision: 1, open: 1, high: 2, low: 1, close: 2 } }), "bar, corrected (1)  O 1  H 2  L 1  C 2");
});

test("store: one frozen view a frame, however much comes", () => {
  const client = Object.assign(new Emitter(), { state: "connected", reason: "" });
  const frames = [];
  const store = new LiveStore(client, { kept: 2, schedule: (work) => frames.push(work) });
  let told = 0;
  const stop = store.subscribe(() => { told += 1; });
  const before = store.view();
  for (const price of [1, 2, 3]) {
    client.emit("stream_market_data", { symbol: "AAPL", timestamp: "t", data: { price } });
    client.emit("gap", { from: price });
  }
  assert.equal(store.view(), before);
  assert.equal(frames.length, 1);
  frames.shift()();
  const view = store.view();
  assert.equal(told, 1);
  assert.ok(Object.isFrozen(view));
  assert.deepEqual([view.prices.AAPL.price, view.prices.AAPL.previous], [3, 2]);
  assert.deepEqual([view.gaps, view.gapCount], [[{ from: 3 }, { from: 2 }], 3]);
  client.state = "disconnected";
  client.emit("error", new Error("gone"));
  frames.shift()();
  assert.deepEqual([store.view().state, store.view().error.message], ["disconnected", "gone"]);
  assert.equal(store.view().prices, view.prices);
  stop();
  store.close();
  client.emit("gap", { from: 9 });
  assert.deepEqual([told, frames.length], [2, 0]);
});
