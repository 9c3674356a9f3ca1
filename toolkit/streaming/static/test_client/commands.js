import { at, element } from "./dom.js";
import { colouredJson } from "./detail.js";

const ROLES = ["view", "tune", "trade", "admin"];
const COMMANDS = [
  { name: "get_status", role: "view", args: {} },
  { name: "get_parameters", role: "view", args: {} },
  { name: "get_history", role: "view", args: { symbol: "AAPL", limit: 10 } },
  { name: "get_trades", role: "view", args: {} },
  { name: "get_orders", role: "view", args: {} },
  { name: "set_parameters", role: "tune", args: { values: { "ema.ema_period": 9 } }, ask: true },
  { name: "start", role: "trade", args: {}, ask: true },
  { name: "stop", role: "trade", args: {}, ask: true },
  { name: "flatten", role: "trade", args: {}, ask: true },
  { name: "halt", role: "trade", args: { flatten: false, reason: "" }, ask: true },
  { name: "resume_trading", role: "trade", args: {}, ask: true },
  { name: "shutdown", role: "admin", args: {}, ask: true },
];
const SURE_MS = 4_000;

/* Commands that this role may send; what changes something is asked for twice. */
export class CommandBox {
  constructor({ client }) {
    this._client = client;
    this._symbol = "AAPL";
    this._sure = null;
    at("command-name").addEventListener("change", () => this._choose());
    at("command").addEventListener("submit", (event) => {
      event.preventDefault();
      this._submit();
    });
  }

  offer(role, symbols) {
    const allowed = COMMANDS.filter((command) => ROLES.indexOf(command.role) <= ROLES.indexOf(role));
    const before = at("command-name").value;
    at("command-name").replaceChildren(...allowed.map(({ name }) => element("option", "", name)));
    at("command").hidden = !allowed.length;
    this._symbol = symbols[0] ?? this._symbol;
    if (allowed.some(({ name }) => name === before)) at("command-name").value = before;
    else this._choose();
  }

  get _command() {
    return COMMANDS.find(({ name }) => name === at("command-name").value);
  }

  _choose() {
    this._calm();
    const { args } = this._command;
    const own = "symbol" in args ? { ...args, symbol: this._symbol } : args;
    at("command-args").value = JSON.stringify(own, null, Object.keys(own).length ? 1 : 0);
  }

  _submit() {
    if (this._command.ask && this._sure === null) {
      at("command-send").textContent = "Really?";
      at("command-send").classList.add("danger");
      this._sure = setTimeout(() => this._calm(), SURE_MS);
      return;
    }
    this._calm();
    this._send();
  }

  _calm() {
    clearTimeout(this._sure);
    this._sure = null;
    at("command-send").textContent = "Send";
    at("command-send").classList.remove("danger");
  }

  async _send() {
    at("command-send").disabled = true;
    try {
      const args = JSON.parse(at("command-args").value || "{}");
      this._show(await this._client().command(this._command.name, args));
    } catch (error) {
      this._show(error instanceof SyntaxError ? `Not JSON: ${error.message}` : error, { failed: true });
    } finally {
      at("command-send").disabled = false;
    }
  }

  _show(value, { failed = false } = {}) {
    const result = at("command-result");
    result.hidden = false;
    result.classList.toggle("failed", failed);
    if (failed) result.textContent = value.message ?? value;
    else result.replaceChildren(...colouredJson(value));
  }
}
