/** One row of the gallery: which items stand in it, and how high it is. */
export interface Row {
  from: number;
  to: number;
  height: number;
  /** Whether it reaches from edge to edge: all rows but the last do. */
  full: boolean;
}

/** Rows of pictures with one height and one width each: no picture is cropped, and no edge is ragged but the last. */
export function justified(ratios: number[], width: number, height: number, gap: number): Row[] {
  const rows: Row[] = [];
  let from = 0;
  let sum = 0;
  ratios.forEach((ratio, index) => {
    sum += ratio;
    const gaps = (index - from) * gap;
    if (sum * height + gaps < width) return;
    rows.push({ from, to: index + 1, height: (width - gaps) / sum, full: true });
    from = index + 1;
    sum = 0;
  });
  if (from < ratios.length) rows.push({ from, to: ratios.length, height, full: false });
  return rows.map((row) => ({ ...row, height: Math.round(Math.min(row.height, height * 1.6)) }));
}
