import type { LatencyUpdate } from "stochrsi-toolkit-client";

const told = (value: number | null) => (value === null ? "–" : `${value.toFixed(2)} ms`);

export function Latency({ latency }: { latency: LatencyUpdate | null }) {
  if (!latency) return <p className="latency">Measuring…</p>;
  const { current, p50, p99, ok, target } = latency;
  return (
    <dl className={`latency ${ok ? "ok" : "high"}`}>
      <div><dt>Latency</dt><dd>{told(current)}</dd></div>
      <div><dt>p50</dt><dd>{told(p50)}</dd></div>
      <div><dt>p99</dt><dd>{told(p99)}</dd></div>
      <div><dt>Target</dt><dd>{target} ms</dd></div>
    </dl>
  );
}
