/* Call `wake` when a page is looked at again, comes back from the browser's cache, or the network
 * is back; returns what ends that. Where there is no page, nothing happens. */
export function onWake(wake) {
  const { document: page } = globalThis;
  const seen = () => page.visibilityState === "visible" && wake();
  const shown = ({ persisted }) => persisted && wake();
  const wanted = [
    [page, "visibilitychange", seen],
    [globalThis, "pageshow", shown],
    [globalThis, "online", wake],
  ].filter(([target]) => target?.addEventListener);
  for (const [target, event, handler] of wanted) target.addEventListener(event, handler);
  return () => {
    for (const [target, event, handler] of wanted) target.removeEventListener(event, handler);
  };
}
