const WIDE = 1.1;

interface Layout {
  columns: number;
  /** Width over height of the whole block. */
  whole: number;
  /** Whether the first one leads, twice as large. */
  lead: boolean;
}

/** How to lay out a job's pictures, all of one shape. */
export function layoutOf(ratio: number, count: number): Layout {
  const wide = ratio > WIDE;
  if (count === 3 && wide) return { columns: 2, whole: (ratio * 2) / 3, lead: true };
  const square = Math.ceil(Math.sqrt(count));
  const columns = count === 2 && wide ? 1 : count <= 3 ? count : square;
  return { columns, whole: (ratio * columns) / Math.ceil(count / columns), lead: false };
}
