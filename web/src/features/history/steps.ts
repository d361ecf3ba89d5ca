import type { Row } from "./layout";

/** The item that an arrow key leads to from another one, if there is one. */
export function beside(rows: Row[], at: number, key: string): number | undefined {
  if (key === "ArrowLeft") return at > 0 ? at - 1 : undefined;
  if (key === "ArrowRight") return at + 1 < (rows.at(-1)?.to ?? 0) ? at + 1 : undefined;
  const index = rows.findIndex((row) => at < row.to);
  const here = rows[index];
  const there = rows[index + (key === "ArrowDown" ? 1 : key === "ArrowUp" ? -1 : Number.NaN)];
  if (!here || !there) return undefined;
  const part = (at - here.from + 0.5) / (here.to - here.from);
  return there.from + Math.floor(part * (there.to - there.from));
}
