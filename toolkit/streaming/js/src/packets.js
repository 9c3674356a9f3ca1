import { TradingBotError } from "./errors.js";

/* Socket.IO v5 on a WebSocket, as text. Pure; JSON events and acks in the default namespace. */

const SHOWN = 60;
const ENGINE = { 0: "open", 1: "close", 2: "ping", 3: "ignored", 6: "ignored" };
const SOCKET = { 0: "connect", 1: "disconnect", 2: "event", 3: "ack", 4: "connect_error" };
const MESSAGE = /^4([0-4])(\d{0,15})(.*)$/s;

export const DISCONNECT = "41";

/* `{kind, data, id}`; throws TradingBotError for what is no packet of the protocol. */
export function decode(text) {
  try {
    if (text.startsWith("42[")) return checked(event(text));
    return checked(text[0] === "4" ? message(text) : engine(text));
  } catch {
    const shown = JSON.stringify(text.slice(0, SHOWN));
    throw new TradingBotError("wire_error", `${shown} is no packet of Socket.IO that we take`);
  }
}

export function connectText(auth) {
  return `40${JSON.stringify(auth)}`;
}

export function eventText(name, body, id) {
  return `42${id}${JSON.stringify([name, body])}`;
}

export function ackText(id) {
  return `43${id}[]`;
}

export function pongText(ping) {
  return `3${ping.slice(1)}`;
}

function event(text) {
  return { kind: "event", data: JSON.parse(text.slice(2)), id: null };
}

function message(text) {
  const [, kind, id, body] = MESSAGE.exec(text);
  const data = body ? JSON.parse(body) : null;
  return { kind: SOCKET[kind], data, id: id ? Number(id) : null };
}

function engine(text) {
  const kind = ENGINE[text[0]];
  if (!kind) throw new RangeError("unknown packet");
  return { kind, data: kind === "open" ? JSON.parse(text.slice(1)) : null, id: null };
}

function checked(packet) {
  const { kind, data, id } = packet;
  if ((kind === "event" || kind === "ack") && !Array.isArray(data)) throw new TypeError(kind);
  if (kind === "event" && typeof data[0] !== "string") throw new TypeError("no name");
  if (kind === "ack" && id === null) throw new TypeError("no number");
  return packet;
}
