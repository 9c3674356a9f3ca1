import type {
  ClientState, Connected, Gap, LatencyUpdate, MarketData, Options, Stats, StreamName,
  TradingBotError, TradingBotWebSocketClient,
} from "./index.js";

export interface Price {
  symbol: string;
  price: number;
  /** The price before this one, the same for the first. */
  previous: number;
  /** RFC 3339, UTC. */
  timestamp: string;
  data: MarketData;
}

export interface TradingBot {
  /** null until the component is mounted. */
  client: TradingBotWebSocketClient | null;
  state: ClientState;
  /** Why it is not connected; empty while it is. */
  reason: string;
  /** What the server said about itself. */
  connected: Connected | null;
  prices: Readonly<Record<string, Price>>;
  latency: LatencyUpdate | null;
  stats: Stats | null;
  /** The last twenty, newest first. */
  gaps: readonly Gap[];
  gapCount: number;
  /** The last one since it was connected. */
  error: TradingBotError | null;
}

export interface TradingBotOptions extends Options {
  /** ["market_data"] */
  streams?: readonly StreamName[];
  /** null = all. */
  symbols?: readonly string[] | null;
  /** A second. */
  maxRate?: number;
}

/** One connection for as long as the component lives; it renders at most once a frame. */
export function useTradingBot(url: string, options?: TradingBotOptions): TradingBot;
