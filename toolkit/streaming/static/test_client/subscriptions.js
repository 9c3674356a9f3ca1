import { at, choice, element } from "./dom.js";
import { colour, STREAMS } from "./words.js";

const RATES = [["", "all"], ["20", "20"], ["5", "5"], ["1", "1"]];
const UNLIMITED = 1_000;
const MANY = 12;

/* Streams x symbols to ask for, and what is subscribed to. */
export class SubscriptionManager {
  constructor({ client, onProblem, onChange }) {
    this._client = client;
    this._onProblem = onProblem;
    this._onChange = onChange;
    this._limited = false;
    at("streams").replaceChildren(...STREAMS.map((name) => choice("checkbox", "stream", name, name, name === "market_data")));
    at("rates").replaceChildren(...RATES.map(([value, label]) => choice("radio", "rate", value, label, !value)));
    for (const label of at("rates").children) label.className = "";
    at("find").addEventListener("input", () => this._find());
    at("subscription").addEventListener("submit", (event) => {
      event.preventDefault();
      this._subscribe();
    });
  }

  /* The server's symbols; those chosen stay chosen. */
  offer(symbols) {
    const before = new Set(this._chosen("symbols"));
    at("symbols").replaceChildren(...symbols.map((name) => choice("checkbox", "symbol", name, name, before.has(name))));
    at("find").hidden = symbols.length <= MANY;
    this._find();
  }

  draw() {
    const items = this._client().subscriptions.map(({ stream, symbols, without }) => {
      const which = symbols ? symbols.join(", ") : without.length ? `all but ${without.join(", ")}` : "";
      const remove = element("button", "", "×");
      remove.type = "button";
      remove.setAttribute("aria-label", `Unsubscribe from ${stream}`);
      remove.addEventListener("click", () => this._unsubscribe(stream));
      const item = element("li", "", element("b", "", stream), element("span", "", which), remove);
      item.title = which || "all symbols";
      item.style.setProperty("--tag", colour(stream));
      return item;
    });
    at("active").replaceChildren(...items);
  }

  async _subscribe() {
    const streams = this._chosen("streams");
    const symbols = this._chosen("symbols");
    const rate = document.querySelector("#rates input:checked").value;
    if (!streams.length) {
      this._onProblem(new Error("choose a stream first"));
      return;
    }
    // A limit stays until another is given.
    const maxRate = rate ? Number(rate) : this._limited ? UNLIMITED : undefined;
    await this._ask(() => this._client().subscribe(streams, symbols.length ? symbols : null, { maxRate }));
    this._limited ||= Boolean(rate);
  }

  _unsubscribe(stream) {
    return this._ask(() => this._client().unsubscribe([stream]));
  }

  async _ask(work) {
    try {
      await work();
      this._onChange();
    } catch (error) {
      this._onProblem(error);
    }
    this.draw();
  }

  _chosen(id) {
    return [...at(id).querySelectorAll("input:checked")].map((input) => input.value);
  }

  _find() {
    const text = at("find").value.trim().toUpperCase();
    for (const label of at("symbols").children) {
      const { value, checked } = label.firstElementChild;
      label.hidden = !checked && !value.toUpperCase().includes(text);
    }
  }
}
