import { TradingBotError } from "./errors.js";
import { ackText, connectText, decode, DISCONNECT, eventText, pongText } from "./packets.js";

const OPEN = 1;
const GOODBYES = ["disconnect", "close"];
const MAX_GARBAGE = 20;
const MAX_ASKED = 1_000;
const MAX_UNSENT = 4_194_304;

/* One connection to a streaming server, from opening to loss. `onEvent(name, data, size)` is
 * called in order; what it throws, and packets that are none, go to `onProblem`; `onLost(reason)`
 * is called once, also when it never came about. */
export class Connection {
  constructor(url, { WebSocket, auth, wall, onEvent, onProblem, onLost }) {
    this.lost = false;
    this.heardAt = wall.now();
    this.beatMs = Infinity;
    this.refusal = null;
    this._auth = auth;
    this._wall = wall;
    this._onEvent = onEvent;
    this._onProblem = onProblem;
    this._onLost = onLost;
    this._asked = new Map();
    this._number = 0;
    this._garbage = 0;
    this._largest = Infinity;
    this._socket = new WebSocket(socketAddress(url));
    this._socket.binaryType = "arraybuffer";
    this._socket.onmessage = ({ data }) => this._take(data);
    this._socket.onerror = () => {}; // a close event always follows
    this._socket.onclose = ({ code, reason }) =>
      this.lose(`the connection broke (code ${code}${reason ? `, ${reason}` : ""})`);
  }

  /* Resolves with `{answer, sent, received}` (wall times in ms), rejects with what the server
   * answered, `not_connected` when the connection gets lost, `timeout`. */
  ask(event, body, within) {
    return new Promise((resolve, reject) => {
      if (this.lost) throw notConnected("the connection to the server is lost");
      if (this._asked.size >= MAX_ASKED) {
        throw new TradingBotError("wire_error", `${MAX_ASKED} requests wait for their answers`);
      }
      const id = (this._number += 1);
      const text = eventText(event, body, id);
      const timer = setTimeout(() => {
        this._asked.delete(id);
        const message = `no answer to ${event} within ${within / 1000} s`;
        reject(new TradingBotError("timeout", message, { event }));
      }, within);
      const sent = this._wall.now();
      try {
        this._send(text, event);
      } catch (error) {
        clearTimeout(timer);
        throw error;
      }
      this._asked.set(id, {
        event, reject, timer,
        resolve: (answer) => resolve({ answer, sent, received: this._wall.now() }),
      });
    });
  }

  /* Say goodbye and leave. */
  close(reason) {
    if (this.lost) return;
    if (this._socket.readyState === OPEN) this._socket.send(DISCONNECT);
    this.lose(reason);
  }

  lose(reason) {
    if (this.lost) return;
    this.lost = true;
    this._leave();
    for (const { reject, timer } of this._asked.values()) {
      clearTimeout(timer);
      reject(notConnected(`the connection was lost: ${reason}`));
    }
    this._asked.clear();
    this._onLost(reason);
  }

  _leave() {
    const socket = this._socket;
    socket.onmessage = socket.onclose = null;
    try {
      socket.close();
    } catch {
      // A socket that cannot even be closed is forgotten all the same.
    }
    // Where there is a way to end a socket whose peer has gone silent, take it (npm's ws).
    if (socket.terminate) setTimeout(() => socket.terminate(), 500).unref();
  }

  _take(text) {
    this.heardAt = this._wall.now();
    let packet;
    try {
      if (typeof text !== "string") throw binary();
      packet = decode(text);
    } catch (error) {
      this._misunderstood(error);
      return;
    }
    if (packet.kind === "event") this._event(packet, text.length);
    else this._control(packet, text);
  }

  _event({ data: [name, value], id }, size) {
    try {
      this._onEvent(name, value, size);
    } catch (cause) {
      const shown = name.slice(0, 40);
      const message = `the server sent ${shown} in a form that has no meaning`;
      this._misunderstood(new TradingBotError("wire_error", message, { event: shown }, { cause }));
    }
    if (id !== null && !this.lost) this._socket.send(ackText(id));
  }

  _control({ kind, data, id }, text) {
    if (kind === "ping") this._socket.send(pongText(text));
    else if (kind === "ack") this._acked(id, data[0]);
    else if (kind === "open") this._opened(data);
    else if (kind === "connect_error") this._refused(data);
    else if (GOODBYES.includes(kind)) this.lose("the server ended the connection");
  }

  _opened(hello) {
    this._largest = hello?.maxPayload ?? Infinity;
    this.beatMs = hello?.pingInterval + hello?.pingTimeout || Infinity;
    this._socket.send(connectText(this._auth));
  }

  _refused(data) {
    const { data: details, message } = data ?? {};
    this.refusal = TradingBotError.from(details ?? { code: "auth_error", message });
    this.lose(this.refusal.message);
  }

  _acked(id, answer) {
    const asked = this._asked.get(id);
    if (!asked) return;
    this._asked.delete(id);
    clearTimeout(asked.timer);
    if (answer?.ok) asked.resolve(answer);
    else asked.reject(TradingBotError.from(answer?.error ?? {
      message: `the server answered ${asked.event} with nothing we understand`,
    }));
  }

  _misunderstood(error) {
    this._garbage += 1;
    this._onProblem(error);
    if (this._garbage >= MAX_GARBAGE) this.lose("the server sends what nobody understands");
  }

  _send(text, event) {
    const size = new TextEncoder().encode(text).length;
    if (size > this._largest) {
      throw new TradingBotError(
        "wire_error",
        `${event} has ${size} bytes; the server takes at most ${this._largest}: ask for less`,
        { field: event, allowed: this._largest },
      );
    }
    if (this._socket.bufferedAmount > MAX_UNSENT) {
      throw new TradingBotError("wire_error", "the server does not read what was sent before");
    }
    this._socket.send(text);
  }
}

function binary() {
  return new TradingBotError("wire_error", "the server sent a binary message; ours are text");
}

export function notConnected(message) {
  return new TradingBotError("not_connected", message);
}

/* The WebSocket address of a server given as http(s) or ws(s), with or without a folder. */
export function socketAddress(url) {
  const address = new URL(url, globalThis.location?.href);
  address.protocol = address.protocol.replace("http", "ws");
  if (!/^wss?:$/.test(address.protocol)) {
    const message = `url is ${url}; allowed: http(s) and ws(s) addresses`;
    throw new TradingBotError("config_error", message, { field: "url" });
  }
  address.pathname = `${address.pathname.replace(/\/+$/, "")}/socket.io/`;
  address.search = "?EIO=4&transport=websocket";
  address.hash = "";
  return address.href;
}
