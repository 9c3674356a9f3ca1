/* What a client has received, of each stream and in all. */
export class Counts {
  constructor() {
    this.bytes = 0;
    this.connections = 0;
    this._streams = new Map();
  }

  message(stream, skipped) {
    const counts = this._of(stream);
    counts.messages += 1;
    counts.skipped += skipped ? 1 : 0;
  }

  gap(stream) {
    this._of(stream).gaps += 1;
  }

  summary() {
    const streams = [...this._streams].map(([name, counts]) => [name, { ...counts }]);
    const sum = (what) => streams.reduce((total, [, counts]) => total + counts[what], 0);
    return {
      messagesReceived: sum("messages"),
      bytesReceived: this.bytes,
      reconnects: Math.max(0, this.connections - 1),
      gaps: sum("gaps"),
      skipped: sum("skipped"),
      streams: Object.fromEntries(streams),
    };
  }

  _of(stream) {
    const counts = this._streams.get(stream) ?? { messages: 0, gaps: 0, skipped: 0 };
    this._streams.set(stream, counts);
    return counts;
  }
}
