/* What promises are rejected with and the event `error` carries: `code` for programs, `message`
 * for people, `data` with the facts (field, allowed, required role). */
export class TradingBotError extends Error {
  constructor(code, message, data = {}, options = undefined) {
    super(message, options);
    this.name = "TradingBotError";
    this.code = code;
    this.data = data;
  }

  toJSON() {
    return { ...this.data, code: this.code, message: this.message };
  }

  /* The error that the server sent as `{code, message, ...}`. */
  static from(value) {
    const { code = "error", message = "unknown error", ...data } =
      value !== null && typeof value === "object" ? value : {};
    return new TradingBotError(String(code), String(message), data);
  }
}
