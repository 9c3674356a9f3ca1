/* What is subscribed to, so that a new connection can ask for the same. */
export class Subscriptions {
  constructor() {
    this.maxRate = undefined;
    this._wanted = new Map();
  }

  add(streams, symbols) {
    for (const stream of streams) {
      const wanted = this._wanted.get(stream) ?? nothing();
      this._wanted.set(stream, wanted);
      if (symbols === null) {
        wanted.all = true;
        wanted.without.clear();
      } else if (wanted.all) {
        symbols.forEach((symbol) => wanted.without.delete(symbol));
      } else {
        symbols.forEach((symbol) => wanted.symbols.add(symbol));
      }
    }
  }

  /* Returns the streams that are wanted no longer. */
  remove(streams, symbols) {
    return streams.filter((stream) => {
      const wanted = this._wanted.get(stream);
      if (!wanted) return false;
      if (symbols !== null && wanted.all) symbols.forEach((symbol) => wanted.without.add(symbol));
      else if (symbols !== null) symbols.forEach((symbol) => wanted.symbols.delete(symbol));
      const gone = symbols === null || !(wanted.all || wanted.symbols.size);
      return gone && this._wanted.delete(stream);
    });
  }

  /* Whether `symbol` is an exception: while everything is asked for again it may come. */
  excludes(stream, symbol) {
    return this._wanted.get(stream)?.without.has(symbol) ?? false;
  }

  /* Forget the symbols that the server has not; returns these. */
  keepOnly(symbols) {
    const known = new Set(symbols);
    const gone = new Set();
    for (const [stream, wanted] of this._wanted) {
      for (const symbol of [...wanted.symbols].filter((name) => !known.has(name))) {
        gone.add(symbol);
        wanted.symbols.delete(symbol);
      }
      wanted.without = new Set([...wanted.without].filter((name) => known.has(name)));
      if (!wanted.all && !wanted.symbols.size) this._wanted.delete(stream);
    }
    return [...gone].sort();
  }

  /* `{stream, symbols, without}` of each; symbols null = all. */
  list() {
    return [...this._wanted].map(([stream, { all, symbols, without }]) => ({
      stream,
      symbols: all ? null : [...symbols].sort(),
      without: [...without].sort(),
    }));
  }

  /* `[event, body]` of what asks for all of this again, each stream once. */
  requests() {
    const groups = new Map();
    for (const { stream, symbols } of this.list()) {
      const key = JSON.stringify(symbols);
      const group = groups.get(key) ?? { streams: [], symbols };
      groups.set(key, group);
      group.streams.push(stream);
    }
    const wanted = [...groups.values()].map(({ streams, symbols }) => [
      "subscribe", selection(streams, symbols, this.maxRate),
    ]);
    const unwanted = this.list().filter(({ without }) => without.length);
    return [
      ...wanted,
      ...unwanted.map(({ stream, without }) => ["unsubscribe", selection([stream], without)]),
    ];
  }
}

function nothing() {
  return { all: false, symbols: new Set(), without: new Set() };
}

export function selection(streams, symbols, maxRate = undefined) {
  const body = { stream_types: [...streams] };
  if (symbols !== null) body.symbols = [...symbols];
  if (maxRate !== undefined) body.max_rate = maxRate;
  return body;
}
