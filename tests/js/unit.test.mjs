// The parts of our JavaScript client that need no connection.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Backoff } from "../../toolkit/streaming/js/src/backoff.js";
import { socketAddress } from "../../toolkit/streaming/js/src/connection.js";
import { Emitter } from "../../toolkit/streaming/js/src/emitter.js";
import { Histogram, RecentHistogram } from "../../toolkit/streaming/js/src/histogram.js";
import { LatencyMeter, ServerClock, SteadyWall } from "../../toolkit/streaming/js/src/latency.js";
import { decode, eventText } from "../../toolkit/streaming/js/src/packets.js";
import { Subscriptions } from "../../toolkit/streaming/js/src/subscriptions.js";
import { Tracker } from "../../toolkit/streaming/js/src/tracker.js";

const vectors = JSON.parse(await readFile(new URL("../tracker_vectors.json", import.meta.url)));
const usual = { stream_type: "orders", symbol: "AAPL", epoch: "e", data: {} };

const take = (tracker, step) => {
  if ("start" in step) assert.deepEqual(tracker.start(step.start), step.gaps);
  else if ("confirm" in step) tracker.confirm(step.confirm);
  else if ("answered" in step) tracker.answered(step.answered);
  else if ("announced" in step) assert.equal(tracker.announced(step.announced), step.news);
  else if ("forget" in step) tracker.forget(step.forget);
  else if ("last_seen" in step) assert.deepEqual(tracker.lastSeen(), step.last_seen);
  else if ("accept" in step) {
    const { fresh, gap } = tracker.accept({ ...usual, ...step.accept });
    assert.deepEqual({ fresh, gap }, { fresh: step.fresh, gap: step.gap });
  } else assert.fail(`a step of no known kind: ${JSON.stringify(step)}`);
};

for (const { name, steps } of vectors) {
  test(`tracker: ${name}`, () => {
    const tracker = new Tracker();
    steps.forEach((step) => take(tracker, step));
  });
}

test("tracker: values that replace each other are counted as skipped, not as missing", () => {
  const tracker = new Tracker();
  tracker.start("e");
  const message = { ...usual, stream_type: "market_data" };
  assert.equal(tracker.accept({ ...message, seq: 1, prev: 0 }).skipped, false);
  assert.deepEqual(tracker.accept({ ...message, seq: 5, prev: 4 }), { fresh: true, gap: null, skipped: true });
});

test("tracker: a message without numbers changes nothing", () => {
  const tracker = new Tracker();
  tracker.start("e");
  assert.throws(() => tracker.accept({ ...usual, seq: "x", prev: 0 }), TypeError);
  assert.throws(() => tracker.accept(null), TypeError);
  assert.deepEqual(tracker.lastSeen(), { epoch: "e", seq: {} });
});

test("packets: what a server may send is read", () => {
  const cases = [
    ['0{"sid":"a","pingInterval":1}', { kind: "open", data: { sid: "a", pingInterval: 1 }, id: null }],
    ["1", { kind: "close", data: null, id: null }],
    ["2", { kind: "ping", data: null, id: null }],
    ["2probe", { kind: "ping", data: null, id: null }],
    ["6", { kind: "ignored", data: null, id: null }],
    ['40{"sid":"b"}', { kind: "connect", data: { sid: "b" }, id: null }],
    ["41", { kind: "disconnect", data: null, id: null }],
    ['42["gap",{"to":null}]', { kind: "event", data: ["gap", { to: null }], id: null }],
    ['4217["ask"]', { kind: "event", data: ["ask"], id: 17 }],
    ['433[{"ok":true}]', { kind: "ack", data: [{ ok: true }], id: 3 }],
    ['44{"message":"no"}', { kind: "connect_error", data: { message: "no" }, id: null }],
    ['42["a","line\\nbreak\u2028"]', { kind: "event", data: ["a", "line\nbreak\u2028"], id: null }],
  ];
  for (const [text, packet] of cases) assert.deepEqual(decode(text), packet, text);
});

test("packets: anything else is a wire_error that shows it", () => {
  const wrong = ["", "7", "x", "42", "42{}", "42[]", "42[1]", "43[1]", "431{}", "4", "45-", "42[", "0{",
    '451-["x",{"_placeholder":true,"num":0}]', "x".repeat(1000)];
  for (const text of wrong) {
    assert.throws(() => decode(text), (error) => error.code === "wire_error" && error.message.length < 120, text);
  }
});

test("packets: an event asks for its ack by number", () => {
  assert.equal(eventText("ping", { timestamp: 1.5 }, 12), '4212["ping",{"timestamp":1.5}]');
});

test("addresses: http and ws, with and without a folder, never a query", () => {
  const end = "socket.io/?EIO=4&transport=websocket";
  assert.equal(socketAddress("http://127.0.0.1:9765"), `ws://127.0.0.1:9765/${end}`);
  assert.equal(socketAddress("https://desk.example/bot/?token=x#y"), `wss://desk.example/bot/${end}`);
  assert.equal(socketAddress("ws://[::1]:1"), `ws://[::1]:1/${end}`);
  assert.throws(() => socketAddress("ftp://x"), { code: "config_error" });
});

test("backoff: pauses grow with jitter up to half a minute, then it is given up", () => {
  const calm = new Backoff({ attempts: 20, delay: 500, random: () => 0 });
  assert.deepEqual([calm.next(), calm.next(), calm.next()], [500, 500, 500]);
  const wild = new Backoff({ attempts: 6, delay: 500, random: () => 1 });
  assert.deepEqual(Array.from({ length: 7 }, () => wild.next()), [750, 2250, 6750, 20250, 30000, 30000, null]);
});

test("backoff: what the server asks for counts, and a stable connection starts it again", () => {
  const backoff = new Backoff({ attempts: 3, delay: 500, random: () => 1 });
  assert.equal(backoff.next(4000), 4000);
  assert.equal(backoff.next(1e9), 30_000);
  backoff.lived(4_999);
  assert.equal(backoff.attempt, 2);
  backoff.lived(5_000);
  assert.equal(backoff.next(), 750);
});

test("histogram: percentiles are within 2 %, the maximum is exact", () => {
  const histogram = new Histogram();
  for (let value = 1; value <= 1000; value += 1) histogram.add(value / 10);
  const { count, average, p50, p95, p99, max } = histogram.summary();
  assert.equal(count, 1000);
  assert.ok(Math.abs(average - 50.05) < 1e-9);
  for (const [found, wanted] of [[p50, 50], [p95, 95], [p99, 99]]) assert.ok(Math.abs(found / wanted - 1) < 0.02);
  assert.equal(max, 100);
  assert.equal(new Histogram().percentile(50), null);
});

test("histogram: what is older than two windows is forgotten", () => {
  let now = 0;
  const recent = new RecentHistogram(60, () => now);
  const counted = () => {
    const all = new Histogram();
    recent.addTo(all);
    return all.count;
  };
  recent.add(1);
  now = 61;
  recent.add(1);
  assert.equal(counted(), 2);
  now = 122;
  assert.equal(counted(), 1);
  now = 400;
  assert.equal(counted(), 0);
});

test("clock: the sample with the least round trip counts, impossible ones do not", () => {
  const clock = new ServerClock();
  assert.equal(clock.add(0, 5, 4, 10), null);
  assert.equal(clock.add(0, undefined, undefined, 10), null);
  assert.equal(clock.estimate, null);
  clock.add(1000, 3060, 3061, 1101); // offset 2010, off by up to 50
  clock.add(2000, 4005, 4005, 2010);
  assert.deepEqual(clock.estimate, { offsetMs: 2000, uncertaintyMs: 5 });
  for (let i = 0; i < 8; i += 1) clock.add(0, 2100, 2100, 100);
  assert.deepEqual(clock.estimate, { offsetMs: 2050, uncertaintyMs: 50 });
});

test("wall: a step of the computer's clock is told once", () => {
  let wall = 10_000, monotonic = 0;
  const clock = new SteadyWall({ timeOrigin: 10_000, now: () => monotonic }, { now: () => wall });
  monotonic += 1000;
  wall += 1010;
  assert.equal(clock.stepped(), false);
  wall += 3_600_000;
  assert.equal(clock.stepped(), true);
  assert.equal(clock.stepped(), false);
  assert.equal(clock.now(), 11_000);
});

test("latency: one way, by the server's clock, of live messages only", () => {
  let now = Date.parse("2026-01-02T00:00:00Z");
  const meter = new LatencyMeter({ wall: { now: () => now } });
  const at = (text, more) => meter.note({ stream_type: "orders", published: text, ...more });
  at("2026-01-02T00:00:00.000000Z"); // the offset is not known yet
  for (let i = 0; i < 4; i += 1) meter.clock.add(now, now + 5_000, now + 5_000, now); // five seconds ahead
  meter.confirmed("orders");
  now += 20;
  at("2026-01-02T00:00:05.007500Z");
  at("2026-01-02T00:00:04.900000Z"); // published before the stream was confirmed: it was resumed
  at("2026-01-02T00:00:05.008000Z", { snapshot: true });
  at("nonsense");
  assert.equal(meter.overall().count, 1);
  assert.ok(Math.abs(meter.overall().max - 12.5) < 1e-6);
  assert.deepEqual(Object.keys(meter.byStream()), ["orders"]);
  const update = meter.update(8, 10);
  assert.equal(update.ok, false);
  assert.equal(update.offsetMs, 5_000);
  assert.ok(Math.abs(update.current - 12.5) < 1e-6);
  meter.restart();
  at("2026-01-02T00:00:05.019000Z");
  assert.equal(meter.overall().count, 1);
});

test("latency: before the first message half the round trip stands for it", () => {
  const meter = new LatencyMeter({ wall: { now: () => 0 } });
  const { current, ok, p99, offsetMs } = meter.update(8, 50);
  assert.deepEqual({ current, ok, p99, offsetMs }, { current: 4, ok: true, p99: null, offsetMs: null });
  assert.equal(meter.report(), undefined);
});

test("subscriptions: the sum of all calls is asked for again", () => {
  const wanted = new Subscriptions();
  wanted.add(["orders", "signals"], null);
  wanted.add(["market_data"], ["MSFT"]);
  wanted.add(["market_data"], ["AAPL"]);
  wanted.remove(["orders"], ["TSLA"]);
  wanted.maxRate = 5;
  assert.deepEqual(wanted.requests(), [
    ["subscribe", { stream_types: ["orders", "signals"], max_rate: 5 }],
    ["subscribe", { stream_types: ["market_data"], symbols: ["AAPL", "MSFT"], max_rate: 5 }],
    ["unsubscribe", { stream_types: ["orders"], symbols: ["TSLA"] }],
  ]);
  assert.ok(wanted.excludes("orders", "TSLA") && !wanted.excludes("orders", "AAPL"));
  assert.deepEqual(wanted.remove(["market_data"], ["AAPL"]), []);
  assert.deepEqual(wanted.remove(["market_data", "account"], ["MSFT"]), ["market_data"]);
  assert.deepEqual(wanted.remove(["signals"], null), ["signals"]);
});

test("subscriptions: symbols that the server has no longer are left behind", () => {
  const wanted = new Subscriptions();
  wanted.add(["orders"], ["AAPL", "GONE"]);
  wanted.add(["signals"], ["GONE"]);
  wanted.add(["account"], null);
  assert.deepEqual(wanted.keepOnly(["AAPL", "MSFT"]), ["GONE"]);
  assert.deepEqual(wanted.list().map(({ stream, symbols }) => [stream, symbols]), [["orders", ["AAPL"]], ["account", null]]);
});

test("handlers: one that throws or rejects is reported and harms no other", async () => {
  const emitter = new Emitter();
  const seen = [], reported = [];
  emitter.on("error", (error) => reported.push([error.code, error.data.event]));
  emitter.on("gap", () => { throw new Error("first"); });
  emitter.on("gap", async () => { throw new Error("second"); });
  emitter.on("gap", (gap) => seen.push(gap));
  emitter.emit("gap", 7);
  await new Promise(setImmediate);
  assert.deepEqual(seen, [7]);
  assert.deepEqual(reported, [["handler_error", "gap"], ["handler_error", "gap"]]);
});

test("handlers: they can be removed, also while they run, and unknown events are refused", () => {
  const emitter = new Emitter();
  const seen = [];
  const remove = emitter.on("stream_orders", () => { seen.push("a"); remove(); });
  const other = () => seen.push("b");
  emitter.on("stream_orders", other);
  emitter.emit("stream_orders", {});
  emitter.emit("stream_orders", {});
  emitter.off("stream_orders", other);
  emitter.emit("stream_orders", {});
  assert.deepEqual(seen, ["a", "b", "b"]);
  assert.throws(() => emitter.on("conected", () => {}), { code: "config_error" });
  assert.throws(() => emitter.on("gap", 3), { code: "config_error" });
});
