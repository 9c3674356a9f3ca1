import type { Gap } from "stochrsi-toolkit-client";

export function GapNotice({ gaps, count }: { gaps: readonly Gap[]; count: number }) {
  const [last] = gaps;
  if (!last) return null;
  return (
    <p role="alert" className="gap">
      {count === 1 ? "1 gap" : `${count} gaps`}; the last in {last.stream}: messages {last.from} to{" "}
      {last.to ?? "?"} will not come ({last.reason}).
    </p>
  );
}
