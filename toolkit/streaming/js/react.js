import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { TradingBotWebSocketClient } from "./src/index.js";
import { LiveStore, NOTHING } from "./src/store.js";

const STREAMS = ["market_data"];
const never = () => () => {};
const nothing = () => NOTHING;

/* One connection for as long as the component lives; it renders at most once a frame. */
export function useTradingBot(url, options = {}) {
  const { streams = STREAMS, symbols = null, maxRate, token } = options;
  const latest = useRef(options);
  latest.current = options;
  const [live, setLive] = useState(null);
  const fixed = typeof token === "function" ? "" : token;
  const wanted = JSON.stringify([streams, symbols, maxRate]);
  useEffect(() => {
    const client = new TradingBotWebSocketClient(url, {
      ...latest.current,
      token: () => called(latest.current.token),
    });
    const store = new LiveStore(client);
    // What ends the connection was told by `error` already.
    client.subscribe(streams, symbols, { maxRate }).catch((error) => {
      if (client.state === "connected") store.report(error);
    });
    setLive({ client, store });
    return () => {
      store.close();
      client.disconnect();
    };
  }, [url, fixed, wanted]);
  const { subscribe = never, view = nothing } = live?.store ?? {};
  const shown = useSyncExternalStore(subscribe, view, nothing);
  return { ...shown, client: live?.client ?? null };
}

function called(token) {
  return typeof token === "function" ? token() : token;
}
