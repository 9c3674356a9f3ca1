import { at, element, writeFacts } from "./dom.js";
import { clock, milliseconds } from "./words.js";

const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/g;

/* JSON with its parts in colours, as nodes. */
export function colouredJson(value) {
  const text = JSON.stringify(value, null, 2) ?? "nothing";
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [whole, string, colon] = match;
    nodes.push(text.slice(end, match.index));
    end = match.index + whole.length;
    if (string) nodes.push(element("span", colon ? "key" : "string", string), colon ?? "");
    else nodes.push(element("span", /[a-z]/.test(whole[0]) ? "word" : "number", whole));
  }
  return [...nodes, text.slice(end)];
}

/* The one message that was chosen. */
export class Detail {
  constructor() {
    this._message = null;
    at("copy").addEventListener("click", () => this._copy());
  }

  show(entry) {
    this._message = entry?.message ?? null;
    for (const id of ["detail", "detail-facts", "copy"]) at(id).hidden = !entry;
    at("detail-empty").hidden = Boolean(entry);
    if (!entry) return;
    const { message, latency, received } = entry;
    writeFacts(at("detail-facts"), {
      Received: clock(received),
      "On its way": latency === null ? "not live" : `${milliseconds(latency)} ms`,
      "Follows number": message.prev ? String(message.prev) : "none",
    });
    at("detail").replaceChildren(...colouredJson(message));
    at("detail").scrollTop = 0;
  }

  async _copy() {
    try {
      await navigator.clipboard.writeText(JSON.stringify(this._message, null, 2));
      at("copy").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(at("detail"));
      at("copy").textContent = "Selected";
    }
    setTimeout(() => { at("copy").textContent = "Copy"; }, 1_500);
  }
}
