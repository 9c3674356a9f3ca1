// npm's socket.io server on a free port, which greets as ours does and lets a test do the rest.
import { createServer } from "node:http";
import { Server } from "socket.io";

export const HELLO = {
  client_id: "c", connectionId: "c", epoch: "e1", role: "trade", protocol: 1,
  config: { symbols: ["AAPL", "MSFT"], heartbeat_interval: 5 },
};

/* `told` has every event of every client as `[name, body]`; `auths` what each connected with.
 * `answers[name](body, socket)` makes the ack; `silent` names are never answered. */
export async function stockServer({ hello = HELLO, admit = () => null, options = {}, port = 0 } = {}) {
  const http = createServer();
  const io = new Server(http, options);
  const server = { io, hello, admit, told: [], auths: [], sockets: [], silent: new Set(), answers: {} };
  const changed = [];
  const tell = () => changed.splice(0).forEach((resolve) => resolve());
  server.until = async (true_) => {
    while (!true_()) await new Promise((resolve) => changed.push(resolve));
  };
  io.use((socket, next) => {
    server.auths.push(socket.handshake.auth);
    const refusal = server.admit(socket.handshake.auth, server.auths.length);
    next(refusal && Object.assign(new Error(refusal.message), { data: refusal }));
    tell();
  });
  io.on("connection", (socket) => {
    server.sockets.push(socket);
    socket.onAny((name, body, ack) => {
      server.told.push([name, body]);
      tell();
      if (server.silent.has(name)) return;
      const answer = server.answers[name] ?? usual[name];
      ack?.(answer ? answer(body, socket) : { ok: true });
    });
    if (server.hello) socket.emit("connected", server.hello);
    tell();
  });
  await new Promise((resolve) => http.listen(port, "127.0.0.1", resolve));
  server.url = `http://127.0.0.1:${http.address().port}`;
  server.last = () => server.sockets.at(-1);
  server.close = () => new Promise((resolve) => io.close(resolve));
  return server;
}

const usual = {
  subscribe(body, socket) {
    const confirmed = { ...body, seq: Object.fromEntries(body.stream_types.map((name) => [name, 0])) };
    socket.emit("subscription_confirmed", confirmed);
    return { ok: true, ...confirmed };
  },
  ping() {
    const now = performance.timeOrigin + performance.now();
    return { ok: true, server_received_ms: now + 60_000, server_sent_ms: now + 60_000 };
  },
};

export const message = (seq, prev, more = {}) => ({
  stream_type: "orders", symbol: "AAPL", seq, prev, epoch: "e1",
  timestamp: "2026-01-02T14:30:00Z", published: "2026-01-02T14:30:00.000000Z",
  data: { kind: "order", symbol: "AAPL", price: 1 }, ...more,
});
