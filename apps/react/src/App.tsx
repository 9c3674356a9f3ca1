import { useState, type FormEvent } from "react";
import { useTradingBot } from "stochrsi-toolkit-client/react";
import { ConnectionBadge } from "./ConnectionBadge";
import { GapNotice } from "./GapNotice";
import { Latency } from "./Latency";
import { PriceTable } from "./PriceTable";

const SERVER = "http://localhost:9765";

interface Login {
  server: string;
  token: string;
}

export function App() {
  const [login, setLogin] = useState<Login | null>(null);
  return login
    ? <Live {...login} onLeave={() => setLogin(null)} />
    : <LoginForm onLogin={setLogin} />;
}

function Live({ server, token, onLeave }: Login & { onLeave: () => void }) {
  const bot = useTradingBot(server, { token, streams: ["market_data", "signals", "orders"] });
  return (
    <main>
      <header>
        <h1>Live prices</h1>
        <ConnectionBadge state={bot.state} reason={bot.reason} />
        <button onClick={onLeave}>Leave</button>
      </header>
      {bot.error && <p role="alert" className="error">{bot.error.message}</p>}
      <GapNotice gaps={bot.gaps} count={bot.gapCount} />
      <Latency latency={bot.latency} />
      <PriceTable prices={bot.prices} />
    </main>
  );
}

function LoginForm({ onLogin }: { onLogin: (login: Login) => void }) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    onLogin({ server: String(form.get("server")), token: String(form.get("token")) });
  };
  return (
    <main className="login">
      <h1>Live prices</h1>
      <form onSubmit={submit}>
        <label>Server <input name="server" type="url" defaultValue={SERVER} required /></label>
        <label>Token <input name="token" type="password" autoComplete="off" required /></label>
        <button>Connect</button>
      </form>
    </main>
  );
}
