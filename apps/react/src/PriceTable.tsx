import type { Price } from "stochrsi-toolkit-client/react";

const move = ({ price, previous }: Price) => Math.sign(price - previous);
const ARROWS = new Map([[1, "▲"], [-1, "▼"]]);
const CLASSES = new Map([[1, "up"], [-1, "down"]]);

export function PriceTable({ prices }: { prices: Readonly<Record<string, Price>> }) {
  const rows = Object.values(prices).sort((a, b) => a.symbol.localeCompare(b.symbol));
  if (!rows.length) return <p className="empty">No prices yet.</p>;
  return (
    <table>
      <thead><tr><th scope="col">Symbol</th><th scope="col">Price</th><th scope="col">Time (UTC)</th></tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.symbol} className={CLASSES.get(move(row))}>
            <th scope="row">{row.symbol}</th>
            <td>{row.price.toFixed(2)} <span aria-hidden="true">{ARROWS.get(move(row)) ?? "·"}</span></td>
            <td>{row.timestamp.slice(11, 19)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
