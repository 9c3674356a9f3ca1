import type { ClientState } from "stochrsi-toolkit-client";

export function ConnectionBadge({ state, reason }: { state: ClientState; reason: string }) {
  return <span role="status" className={`badge ${state}`} title={reason}>{state}</span>;
}
