/** Times are milliseconds unless a name or a comment says otherwise. */

export type StreamName =
  | "market_data" | "signals" | "orders" | "positions" | "account"
  | "system_health" | "performance_metrics" | "parameters";

export type Role = "view" | "tune" | "trade" | "admin";

export type ClientState = "connecting" | "connected" | "disconnected" | "closed";

/** The event itself. `kind` says which; further fields belong to the kind. */
export interface Data {
  kind: string;
  symbol?: string | null;
  price?: number;
  [field: string]: unknown;
}

export interface MarketData extends Data {
  kind: "bar" | "quote" | "trade";
  symbol: string;
  price: number;
}

/** A candle; `indicators` null while it forms. */
export interface Bar extends MarketData {
  kind: "bar";
  /** RFC 3339, UTC: the bar's open. */
  timestamp: string;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  final: boolean;
  indicators: Record<string, number | null> | null;
  /** Who printed it: `iex`, `sip`, `crypto`, `simulated`; empty where not known. */
  feed: string;
  /** What was done to its prices: `raw`, `split`, ... */
  adjustment: string;
  /** How often it was corrected since it was first final. */
  revision: number;
  /** Only of a correction: whether the bot had decided on an earlier version. */
  decided?: boolean;
}

/** What can keep the bot from entries, gravest first. Exits are always made. */
export type GateName =
  | "halt" | "error" | "command" | "reconciliation" | "orders" | "broker"
  | "feed" | "clock" | "market" | "loss" | "exposure" | "rate";

export interface GateReason {
  gate: GateName;
  reason: string;
  /** RFC 3339, UTC. */
  since: string;
  /** null closes it for all. */
  symbol: string | null;
}

/** Dollars; null leaves a limit out. */
export interface RiskLimits {
  max_position_value: number | null;
  max_exposure: number | null;
  max_orders_per_minute: number | null;
  max_daily_loss: number | null;
  max_daily_loss_percent: number | null;
  max_drawdown_percent: number | null;
}

/** State of the bot, on `system_health` with kind `health`. */
export interface Health extends Data {
  kind: "health";
  timestamp: string;
  /** `paused`: a gate is closed for all symbols. */
  state: "starting" | "running" | "paused" | "finished" | "failed" | "stopped";
  reason: string;
  market: string;
  /** `simulated`, `alpaca:paper`, `alpaca:live`. */
  broker: string;
  symbols: string[];
  market_time: string | null;
  bars: number;
  gates: GateReason[];
  /** `last_message` null: nothing yet, or a source that cannot fall silent. */
  feed: { ok: boolean; reason: string; last_message: string | null };
  /** null where the bot has none. */
  limits: {
    limits: RiskLimits;
    exposure: number;
    daily_loss: number;
    drawdown_percent: number;
  } | null;
}

/** `pending`: written down, no answer yet; `unknown`: it left, its outcome is not known. */
export type OrderStatus =
  | "pending" | "unknown" | "accepted" | "partially_filled"
  | "filled" | "canceled" | "rejected" | "expired";

/** Latest state of an order, on `orders` with kind `order`. */
export interface Order extends Data {
  kind: "order";
  id: string;
  client_order_id: string;
  symbol: string;
  side: "buy" | "sell";
  quantity: number;
  order_type: "market" | "limit" | "stop" | "stop_limit" | "trailing_stop";
  status: OrderStatus;
  reason: string;
  submitted_at: string;
  updated_at: string;
  filled_quantity: number;
  average_price: number | null;
  /** Why it was refused or cut. */
  message: string;
}

/** Commands of the bot and the server; which role each needs is in docs/protocol.md. */
export type CommandName =
  | "get_parameters" | "get_status" | "get_history" | "get_trades" | "get_orders"
  | "get_streaming_stats" | "set_parameters" | "set_streaming" | "start" | "stop" | "flatten"
  | "halt" | "resume_trading" | "start_streaming" | "stop_streaming" | "shutdown";

export interface Message<D extends Data = Data> {
  stream_type: StreamName;
  /** null where the message is about everything, as in `account`. */
  symbol: string | null;
  /** Number within the stream; of a snapshot, the number it is current to. */
  seq: number;
  /** `seq` of the message before it of the same stream and symbol, 0 for none. */
  prev: number;
  epoch: string;
  /** RFC 3339, UTC: time of the event. */
  timestamp: string;
  /** RFC 3339, UTC: when the server published it. */
  published: string;
  /** true for the state at subscription. */
  snapshot?: boolean;
  data: D;
}

/** Messages `from` to `to` of a stream will not come; `to` is null when nobody knows. */
export interface Gap {
  stream: StreamName;
  from: number;
  to: number | null;
  reason: "slow" | "expired" | "restart" | "missing" | string;
}

export interface ServerConfig {
  symbols: string[];
  streams: StreamName[];
  /** Seconds, as all durations in here. */
  heartbeat_interval: number;
  ping_interval: number;
  ping_timeout: number;
  max_http_buffer_size: number;
  reconnect_attempts: number;
  reconnect_delay: number;
  [setting: string]: unknown;
}

export interface Connected {
  client_id: string;
  connectionId: string;
  server_time: string;
  protocol: number;
  /** The server's start: numbers belong to it. */
  epoch: string;
  role: Role;
  config: ServerConfig;
}

export interface Heartbeat {
  timestamp: string;
  server_status: "streaming" | "stopped";
  active_clients: number;
}

export interface Alert {
  code: string;
  message: string;
  timestamp: string;
  data: Record<string, unknown>;
}

/** One-way latency of about the last minute; null where nothing was measured. */
export interface LatencySummary {
  count: number;
  average: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  max: number | null;
}

export interface LatencyUpdate extends LatencySummary {
  /** Of the latest message; before the first, half the round trip. */
  current: number;
  target: number;
  /** p99 is within the target. */
  ok: boolean;
  roundTripMs: number;
  /** The server's clock minus ours, and how wrong that may be. */
  offsetMs: number | null;
  uncertaintyMs: number | null;
}

export interface Latency extends LatencySummary {
  streams: Partial<Record<StreamName, LatencySummary>>;
  offsetMs: number | null;
  uncertaintyMs: number | null;
}

export interface Stats {
  avgLatency: number | null;
  messagesReceived: number;
  /** Characters of the messages as they came. */
  bytesReceived: number;
  /** Seconds. */
  connectionUptime: number;
  reconnects: number;
  gaps: number;
  /** How often values that replace each other were left out (conflation, `maxRate`). */
  skipped: number;
  streams: Partial<Record<StreamName, { messages: number; gaps: number; skipped: number }>>;
}

export interface Reconnecting {
  attempt: number;
  attempts: number;
  /** Until the attempt. */
  delay: number;
  reason: string;
}

export interface Confirmation {
  stream_types: StreamName[];
  symbols: string[] | null;
  max_rate?: number | null;
  epoch?: string;
  seq?: Partial<Record<StreamName, number>>;
}

/** `symbols` null = all, except `without`. */
export interface Subscription {
  stream: StreamName;
  symbols: string[] | null;
  without: string[];
}

interface FixedEvents {
  connected: Connected;
  disconnected: { reason: string };
  reconnecting: Reconnecting;
  heartbeat: Heartbeat;
  gap: Gap;
  error: TradingBotError;
  alert: Alert;
  config_changed: Record<string, unknown>;
  latency_update: LatencyUpdate;
  performance_stats: Stats;
  stream_data: Message;
  stream_market_data: Message<MarketData>;
}

export type EventName =
  | keyof FixedEvents | `stream_${StreamName}` | `symbol_${string}`;

export type EventOf<Name extends EventName> =
  Name extends keyof FixedEvents ? FixedEvents[Name] : Message;

export interface Options {
  /** The token, or what fetches a fresh one for each connection. Not needed with the cookie. */
  token?: string | (() => string | null | Promise<string | null>);
  /** Signs changes made by this client. */
  name?: string;
  /** Attempts after a loss; Infinity for no end. Unset: what the server says, 10. */
  reconnectAttempts?: number;
  /** Before the first attempt. Unset: what the server says, 500. */
  reconnectDelay?: number;
  /** `latency_update.ok` says whether p99 is within it. 50. */
  latencyTarget?: number;
  /** Between two measurements. 5000. */
  pingInterval?: number;
  /** For answers. 30000. */
  timeout?: number;
  /** For connecting. 10000. */
  connectTimeout?: number;
  /** Connect at once. true. */
  autoConnect?: boolean;
  /** Where there is none: npm's `ws`. */
  WebSocket?: new (url: string) => unknown;
  /** For tests; between 0 and 1. */
  random?: () => number;
}

/** `code`: auth_error, wire_error, config_error, not_connected, timeout, handler_error, or what
 * the bot answered. */
export class TradingBotError extends Error {
  readonly code: string;
  readonly data: Record<string, unknown>;
  constructor(code: string, message: string, data?: Record<string, unknown>);
  toJSON(): Record<string, unknown>;
}

/** Stays connected, subscribes again, resumes. Promises are rejected with TradingBotError. */
export class TradingBotWebSocketClient {
  constructor(url: string, options?: Options);
  readonly url: string;
  readonly state: ClientState;
  /** Why it is not connected; empty while it is. */
  readonly reason: string;
  readonly role: Role | "";
  readonly epoch: string | null;
  readonly connectionId: string;
  readonly config: Partial<ServerConfig>;
  readonly subscriptions: Subscription[];
  connect(): Promise<Connected>;
  disconnect(): void;
  /** Returns what removes the handler. One that throws is reported as `error`. */
  on<Name extends EventName>(event: Name, handler: (value: EventOf<Name>) => unknown): () => void;
  off<Name extends EventName>(event: Name, handler: (value: EventOf<Name>) => unknown): void;
  /** No symbols = all. `maxRate` (a second) thins out what replaces itself, for all of this client. */
  subscribe(
    streams: readonly StreamName[],
    symbols?: readonly string[] | null,
    options?: { maxRate?: number },
  ): Promise<Confirmation>;
  unsubscribe(streams: readonly StreamName[], symbols?: readonly string[] | null): Promise<Confirmation>;
  /** The same `id` is executed once, however often it is sent. */
  command<Result = unknown>(
    name: CommandName,
    args?: Record<string, unknown>,
    options?: { id?: string },
  ): Promise<Result>;
  /** The time to the server and back. */
  ping(): Promise<number>;
  latency(): Latency;
  /** How long a message that arrives just now was on its way; null for what is not live. */
  latencyOf(message: Message): number | null;
  stats(): Stats;
  serverStats(): Promise<Record<string, unknown>>;
}
