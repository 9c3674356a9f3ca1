// The bars that the chart's view knows; run by test_javascript.py.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(`${process.env.SOURCES}/${name}`));
const { Store } = await load("store.js");
const { correctionText, gateWords } = await load("dom.js");
const { clock, decimals, fixed, timeframe } = await load("format.js");

const row = (time, close = 1, final = true) =>
  [time, 1, 2, 0, close, 5, final, ...Array(5).fill(final ? 1 : null)];
const times = (store) => store.rows.map(([time]) => time);

function filled(...rows) {
  const store = new Store(10);
  store.load(rows);
  return store;
}

test("the forming bar is replaced, the next one follows", () => {
  const store = filled(row(60), row(120, 1, false));
  assert.deepEqual(store.merge([row(120, 2, false)]), { from: 1, all: false });
  assert.deepEqual(store.merge([row(120, 3), row(180, 4, false)]), { from: 1, all: false });
  assert.deepEqual(times(store), [60, 120, 180]);
});

test("what is known already changes nothing", () => {
  const store = filled(row(60), row(120));
  assert.equal(store.merge([row(60), row(120)]).from, null);
});

test("a bar that was missing is put in its place", () => {
  const store = filled(row(60), row(180));
  assert.deepEqual(store.merge([row(120)]), { from: 1, all: true });
  assert.deepEqual(times(store), [60, 120, 180]);
});

test("history keeps older bars that it continues", () => {
  const store = filled(row(60), row(120));
  assert.deepEqual(store.load([row(120), row(180)]), { from: 2, all: false });
  assert.deepEqual(times(store), [60, 120, 180]);
});

test("history of a market that began anew replaces everything", () => {
  const store = filled(row(600), row(660));
  assert.deepEqual(store.load([row(60), row(120)]), { from: 0, all: true });
  assert.deepEqual(times(store), [60, 120]);
  store.load([row(6000)]);
  assert.deepEqual(times(store), [6000]);
});

test("no more bars than its capacity are kept, the newest", () => {
  const store = new Store(10);
  for (let i = 1; i <= 25; i++) store.merge([row(60 * i)]);
  assert.ok(store.rows.length <= 10);
  assert.equal(store.last[0], 1500);
});

test("a fill belongs to the bar during which it happened", () => {
  const store = filled(row(60), row(120));
  assert.equal(store.barAt(119)[0], 60);
  assert.equal(store.barAt(120)[0], 120);
  assert.equal(store.barAt(500)[0], 120);
  assert.equal(store.barAt(10), undefined);
});

test("prices get the decimals that they carry", () => {
  assert.equal(decimals([187.31, 187.3]), 2);
  assert.equal(decimals([1.0823, 1.08]), 4);
  assert.equal(decimals([0.00001234]), 8);
  assert.equal(decimals([64123.456]), 2);
  assert.equal(fixed(-1234.5, 2), "−1,234.50");
  assert.equal(fixed(null, 2), "–");
});

test("times are those of the chosen zone and say which", () => {
  const noon = Date.UTC(2026, 0, 2, 12, 0) / 1000;
  assert.equal(clock("UTC").full(noon), "Fri, 02 Jan 2026, 12:00 UTC");
  assert.equal(clock("exchange").tick(noon, 3), "07:00");
});

test("gates are said in the header: the gravest, how many more, and all of them on request", () => {
  assert.deepEqual(gateWords([]), { text: "", all: "" });
  const gates = [
    { title: "Halt", reason: "halted by anna", since: 60, grave: true },
    { title: "Feed", reason: "mute", since: 3600, grave: false },
  ];
  assert.deepEqual(gateWords(gates), {
    text: "No entries (+1): halted by anna",
    all: "Halt: halted by anna, since 1970-01-01 00:01:00 UTC\nFeed: mute, since 1970-01-01 01:00:00 UTC",
  });
});

test("a corrected bar says so, and whether it was decided on", () => {
  assert.equal(correctionText(0), "");
  assert.equal(correctionText(1), "Corrected by the feed");
  assert.match(correctionText(2), /had decided/);
});

test("the distance of the bars is read from them", () => {
  assert.equal(timeframe([0, 60, 120, 24000]), "1m");
  assert.equal(timeframe([0, 3600]), "1h");
  assert.equal(timeframe([0]), "");
});
