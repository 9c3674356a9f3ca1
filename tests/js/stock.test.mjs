// Our JavaScript client against npm's socket.io server, over npm's WebSocket.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { runInThisContext } from "node:vm";
import WebSocket from "ws";
import { TradingBotWebSocketClient } from "../../toolkit/streaming/js/src/index.js";
import { HELLO, message, stockServer } from "./stock_server.mjs";

const EVENTS = [
  "connected", "disconnected", "reconnecting", "gap", "error", "alert", "config_changed",
  "heartbeat", "latency_update", "performance_stats", "stream_data", "stream_orders", "symbol_AAPL",
];

/* A client whose events can be waited for. */
function watched(url, options = {}, Client = TradingBotWebSocketClient) {
  const client = new Client(url, { WebSocket, reconnectDelay: 5, ...options });
  const events = [], waiting = [];
  for (const name of EVENTS) {
    client.on(name, (value) => {
      events.push([name, value]);
      waiting.splice(0).forEach((resolve) => resolve());
    });
  }
  client.all = (name) => events.filter(([found]) => found === name).map(([, value]) => value);
  client.until = async (true_) => {
    while (!true_()) await new Promise((resolve) => waiting.push(resolve));
  };
  client.first = async (name) => {
    await client.until(() => client.all(name).length);
    return client.all(name)[0];
  };
  return client;
}

/* `it(name, options of the server, what to do with server and client)` */
function it(name, { server: given, client: options, ...more }, work) {
  test(name, { timeout: 20_000, ...more }, async () => {
    const server = await stockServer(given);
    const client = options === null ? null : watched(server.url, options);
    try {
      await work({ server, client });
    } finally {
      client?.disconnect();
      await server.close();
    }
  });
}

it("greets with token, name and what it understands", { client: { token: "t", name: "desk" } },
  async ({ server, client }) => {
    assert.equal((await client.first("connected")).connectionId, "c");
    assert.deepEqual(server.auths, [{ token: "t", client: "desk", batch: true }]);
    assert.deepEqual([client.state, client.role, client.epoch, client.reason], ["connected", "trade", "e1", ""]);
  });

it("passes messages to the stream's and the symbol's handlers, single and in batches", {},
  async ({ server, client }) => {
    await client.subscribe(["orders"]);
    server.last().emit("stream_data", message(1, 0));
    server.last().emit("stream_batch", [message(2, 1), message(3, 0, { symbol: null }), message(2, 1)]);
    server.last().emit("heartbeat", { timestamp: "t" });
    await client.first("heartbeat");
    assert.deepEqual(client.all("stream_data").map((m) => m.seq), [1, 2, 3]);
    assert.deepEqual(client.all("stream_orders").map((m) => m.seq), [1, 2, 3]);
    assert.deepEqual(client.all("symbol_AAPL").map((m) => m.data.price), [1, 1]);
    const { messagesReceived, streams, bytesReceived } = client.stats();
    assert.deepEqual([messagesReceived, streams], [3, { orders: { messages: 3, gaps: 0, skipped: 0 } }]);
    assert.ok(bytesReceived > 500);
  });

it("says what is missing, once, and what the server announces", {}, async ({ server, client }) => {
  await client.subscribe(["orders"]);
  server.last().emit("stream_data", message(4, 2));
  server.last().emit("gap", { stream: "orders", from: 5, to: 9, reason: "slow" });
  server.last().emit("stream_data", message(10, 9));
  await client.until(() => client.all("stream_data").length === 2);
  assert.deepEqual(client.all("gap"), [
    { stream: "orders", from: 1, to: 2, reason: "missing" },
    { stream: "orders", from: 5, to: 9, reason: "slow" },
  ]);
  assert.equal(client.stats().gaps, 2);
});

it("one malformed message of a batch is reported, the others arrive", {}, async ({ server, client }) => {
  await client.subscribe(["orders"]);
  server.last().emit("stream_batch", [message(1, 0), null, message(2, 1)]);
  server.last().emit("stream_batch", "no list");
  server.last().emit("gap", null);
  server.last().emit("stream_data", message(3, 2));
  await client.until(() => client.all("stream_data").length === 3);
  assert.deepEqual(client.all("error").map((e) => e.code), ["wire_error", "wire_error", "wire_error"]);
  assert.equal(client.state, "connected");
});

it("reports binary messages and goes on", {}, async ({ server, client }) => {
  await client.first("connected");
  server.last().emit("photo", Buffer.from("x"));
  server.last().emit("heartbeat", {});
  await client.first("heartbeat");
  assert.deepEqual(client.all("error").map((e) => e.code), ["wire_error", "wire_error"]);
});

it("leaves a server that only sends garbage", { client: { reconnectAttempts: 0 } },
  async ({ server, client }) => {
    await client.first("connected");
    for (let i = 0; i < 20; i += 1) server.last().conn.write(`garbage ${i}`);
    assert.match((await client.first("disconnected")).reason, /nobody understands/);
  });

it("answers a server that wants an ack", {}, async ({ server, client }) => {
  await client.first("connected");
  await server.last().timeout(5_000).emitWithAck("heartbeat", {});
});

it("rejects with the server's code, message and facts", {}, async ({ server, client }) => {
  server.answers.command = () => ({ ok: false, error: { code: "auth_error", message: "no", required: "trade" } });
  await assert.rejects(client.command("flatten"), (error) => {
    assert.deepEqual(JSON.parse(JSON.stringify(error)), { code: "auth_error", message: "no", required: "trade" });
    return error instanceof Error;
  });
  server.answers.command = () => "nonsense";
  await assert.rejects(client.command("flatten"), { code: "error" });
  await assert.rejects(client.subscribe("orders"), { code: "config_error" });
});

it("a request that gets no answer times out", { client: { timeout: 30 } }, async ({ server, client }) => {
  server.silent.add("command");
  await assert.rejects(client.command("start"), { code: "timeout" });
  assert.equal(client.state, "connected");
});

it("a message larger than the server takes is refused here",
  { server: { options: { maxHttpBufferSize: 1000 } } }, async ({ client }) => {
    await assert.rejects(client.command("x", { text: "ä".repeat(600) }), { code: "wire_error" });
    assert.equal(client.state, "connected");
  });

it("comes back, asks for the same and for what it missed", {}, async ({ server, client }) => {
  await client.subscribe(["orders"], ["AAPL"], { maxRate: 5 });
  await client.subscribe(["account"]);
  await client.unsubscribe(["account"], ["MSFT"]);
  server.last().emit("stream_data", message(7, 0));
  await client.first("stream_data");
  server.told.length = 0;
  server.last().conn.close();
  await client.until(() => client.all("connected").length === 2);
  assert.deepEqual(server.auths[1].last_seen, { epoch: "e1", seq: { orders: 7, account: 0 } });
  assert.deepEqual(server.told.filter(([name]) => name !== "ping"), [
    ["subscribe", { stream_types: ["orders"], symbols: ["AAPL"], max_rate: 5 }],
    ["subscribe", { stream_types: ["account"], max_rate: 5 }],
    ["unsubscribe", { stream_types: ["account"], symbols: ["MSFT"] }],
  ]);
  assert.equal(client.all("disconnected").length, 1);
  assert.equal(client.stats().reconnects, 1);
});

it("another epoch is a gap of each stream, and numbers start again", {}, async ({ server, client }) => {
  await client.subscribe(["orders"], ["AAPL"]);
  server.last().emit("stream_data", message(7, 0));
  await client.first("stream_data");
  server.hello = { ...HELLO, epoch: "e2", config: { symbols: ["MSFT"] } };
  server.last().conn.close();
  await client.until(() => client.all("connected").length === 2);
  assert.deepEqual(client.all("gap"), [{ stream: "orders", from: 8, to: null, reason: "restart" }]);
  assert.match(client.all("error")[0].message, /AAPL no longer/);
  server.last().emit("stream_data", message(1, 0, { epoch: "e2" }));
  await client.until(() => client.all("stream_data").length === 2);
});

it("a command whose answer was lost is asked for again with the same id", {}, async ({ server, client }) => {
  await client.first("connected");
  server.silent.add("command");
  const result = client.command("flatten");
  await server.until(() => server.told.some(([name]) => name === "command"));
  server.silent.clear();
  server.answers.command = ({ id }) => ({ ok: true, result: id });
  server.last().conn.close();
  const ids = () => server.told.filter(([name]) => name === "command").map(([, body]) => body.id);
  assert.equal(await result, ids()[0]);
  assert.equal(ids().length, 2);
  assert.equal(ids()[0], ids()[1]);
});

it("of a command's outcome in another epoch nothing is known", {}, async ({ server, client }) => {
  await client.first("connected");
  server.silent.add("command");
  const result = client.command("flatten");
  await server.until(() => server.told.some(([name]) => name === "command"));
  server.hello = { ...HELLO, epoch: "e2" };
  server.last().conn.close();
  await assert.rejects(result, { code: "not_connected", message: /not known whether command/ });
});

it("a refused token ends it, with the reason",
  { server: { admit: () => ({ code: "auth_error", message: "wrong token" }) } }, async ({ server, client }) => {
    await assert.rejects(client.connect(), { code: "auth_error", message: "wrong token" });
    assert.deepEqual([client.state, client.reason, server.auths.length], ["disconnected", "wrong token", 1]);
    assert.equal(client.all("error").length, 1);
    await assert.rejects(client.subscribe(["orders"]), { code: "not_connected" });
  });

it("a server that has no room is asked again",
  { server: { admit: (_, count) => count < 3 && { code: "auth_error", message: "full", retry_after: 0.001 } } },
  async ({ server, client }) => {
    await client.connect();
    assert.equal(server.auths.length, 3);
    assert.deepEqual(client.all("reconnecting").map(({ attempt, reason }) => [attempt, reason]), [[1, "full"], [2, "full"]]);
  });

it("a fresh token is fetched for each connection", { client: null }, async ({ server }) => {
  let made = 0;
  const client = watched(server.url, { token: async () => `token ${(made += 1)}` });
  await client.connect();
  server.last().emit("error", { code: "auth_error", message: "this token has expired" });
  server.last().disconnect(true);
  await client.until(() => client.all("connected").length === 2);
  assert.deepEqual(server.auths.map(({ token }) => token), ["token 1", "token 2"]);
  assert.equal(client.all("error")[0].message, "this token has expired");
  client.disconnect();
});

it("gives up after its attempts, says so, and can begin anew", { client: null }, async ({ server }) => {
  const { url } = server;
  await server.close();
  const client = watched(url, { reconnectAttempts: 2 });
  await assert.rejects(client.connect(), { code: "not_connected", message: /gave up after 2 more attempts/ });
  assert.deepEqual(client.all("reconnecting").map(({ attempt, attempts }) => [attempt, attempts]), [[1, 2], [2, 2]]);
  await assert.rejects(client.connect(), { code: "not_connected" });
  client.disconnect();
  assert.equal(client.state, "closed");
});

it("waits for the server and subscribes when it is there", { client: null }, async ({ server }) => {
  const port = Number(new URL(server.url).port);
  await server.close();
  const client = watched(server.url, { reconnectAttempts: Infinity });
  const asked = client.subscribe(["orders"]);
  await client.first("reconnecting");
  const again = await stockServer({ port });
  assert.deepEqual((await asked).stream_types, ["orders"]);
  client.disconnect();
  await again.close();
});

it("the server says how often to try, unless the client knows better",
  { server: { hello: { ...HELLO, config: { reconnect_attempts: 1, reconnect_delay: 0.001 } } }, client: null },
  async ({ server }) => {
    const client = watched(server.url, { reconnectDelay: undefined });
    await client.connect();
    await server.close();
    const { message: told } = await client.first("error");
    assert.match(told, /gave up after 1 more attempts/);
    client.disconnect();
  });

it("a server that never greets is left", { server: { hello: null }, client: { connectTimeout: 30, reconnectAttempts: 0 } },
  async ({ client }) => {
    await assert.rejects(client.connect(), { message: /no greeting came within 0.03 s/ });
  });

it("a silent server is left and found again", { server: { hello: { ...HELLO, config: { heartbeat_interval: 0.05 } } } },
  async ({ server, client }) => {
    server.silent.add("ping");
    assert.match((await client.first("disconnected")).reason, /was silent for 0.15/);
    await client.until(() => client.all("connected").length === 2);
  });

it("measures the clock's offset and one-way latency", { client: { latencyTarget: 1_000 } },
  async ({ server, client }) => {
    const { roundTripMs, offsetMs, uncertaintyMs, current, target, ok } = await client.first("latency_update");
    assert.ok(Math.abs(offsetMs - 60_000) <= uncertaintyMs + 0.01, `${offsetMs} ${uncertaintyMs}`);
    assert.ok(roundTripMs > 0 && current > 0 && ok);
    assert.equal(target, 1_000);
    await client.until(() => client.all("latency_update").length === 4);
    await client.subscribe(["orders"]);
    const published = new Date(performance.timeOrigin + performance.now() + 60_002).toISOString();
    server.last().emit("stream_data", message(1, 0, { published }));
    await client.first("stream_data");
    await client.ping();
    const [name, body] = server.told.at(-1);
    assert.equal(name, "ping");
    assert.deepEqual([body.latency.count, client.latency().streams.orders.count], [1, 1]);
    assert.ok(body.latency.max < 1_000);
    const { avgLatency, messagesReceived, connectionUptime } = client.all("performance_stats").at(-1);
    assert.ok(avgLatency >= 0 && messagesReceived === 1 && connectionUptime > 0);
  });

it("disconnect ends all, and nothing keeps Node running", {}, async ({ server, client }) => {
  await client.first("connected");
  server.silent.add("command");
  const asked = client.command("start");
  client.disconnect();
  client.disconnect();
  await assert.rejects(asked, { code: "not_connected" });
  assert.deepEqual(client.all("disconnected"), [{ reason: "closed by this client" }]);
  await assert.rejects(client.ping(), { code: "not_connected" });
  assert.equal(client.stats().connectionUptime, 0);
  await client.connect();
  assert.equal(client.state, "connected");
});

it("a handler may disconnect", { client: null }, async ({ server }) => {
  const client = watched(server.url);
  client.on("connected", () => client.disconnect());
  client.on("disconnected", () => client.connect().catch(() => {}));
  await client.until(() => client.all("connected").length === 2);
  client.disconnect();
});

const page = () => {
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  globalThis.document = document;
  return { look: () => document.dispatchEvent(new Event("visibilitychange")), leave: () => delete globalThis.document };
};

it("a page that wakes up dials at once instead of waiting", { client: null }, async ({ server }) => {
  const { look, leave } = page();
  const client = watched(server.url, { reconnectDelay: 1_000_000 });
  try {
    await client.connect();
    server.last().conn.close();
    await client.first("reconnecting");
    look();
    await client.until(() => client.all("connected").length === 2);
  } finally {
    client.disconnect();
    leave();
  }
});

it("a page that wakes up begins anew where it had given up, but not with a refused token", { client: null },
  async ({ server }) => {
    const { look, leave } = page();
    const client = watched(server.url, { reconnectAttempts: 0 });
    try {
      await client.connect();
      server.last().conn.close();
      await client.first("error");
      look();
      await client.until(() => client.all("connected").length === 2);
      server.admit = () => ({ code: "auth_error", message: "no" });
      client.disconnect();
      await assert.rejects(client.connect(), { code: "auth_error" });
      look();
      assert.equal(client.state, "disconnected");
    } finally {
      client.disconnect();
      leave();
    }
  });

it("a page that wakes up on a dead connection leaves it", { client: null, timeout: 20_000 }, async ({ server }) => {
  const { look, leave } = page();
  const client = watched(server.url, { reconnectDelay: 1_000_000, timeout: 50 });
  try {
    await client.first("latency_update");
    server.silent.add("ping");
    look();
    assert.match((await client.first("disconnected")).reason, /did not answer after a pause/);
    await client.until(() => client.all("connected").length === 2);
  } finally {
    client.disconnect();
    leave();
  }
});

test("without a WebSocket it says what to do", () => {
  assert.throws(() => new TradingBotWebSocketClient("http://127.0.0.1:1", { WebSocket: null }),
    { code: "config_error", message: /npm's ws/ });
});

it("the page's one file is the same client", { client: null, skip: !process.env.PAGE_SCRIPT && "PAGE_SCRIPT is not set" },
  async ({ server }) => {
    runInThisContext(await readFile(process.env.PAGE_SCRIPT, "utf8"));
    const client = watched(server.url, {}, globalThis.TradingBotWebSocketClient);
    await client.subscribe(["orders"]);
    server.last().emit("stream_batch", [message(1, 0), message(4, 3)]);
    await client.until(() => client.all("stream_data").length === 2);
    assert.deepEqual(client.all("gap"), [{ stream: "orders", from: 2, to: 3, reason: "missing" }]);
    assert.equal(new globalThis.TradingBotError("a", "b").code, "a");
    client.disconnect();
  });
