/** Where the parts stand and how they are joined, in CSS pixels. */
export type Box = { x: number; y: number; w: number; h: number };
export type Edge = { id: string; d: string; bell: boolean };
export type Plan = { wide: boolean; height: number; boxes: Map<string, Box>; edges: Edge[] };

const WIDE = 900;
const BOX_H = 124;
const SMALL_H: Record<string, number> = { client: 60, broker: 84 }; // of parts with less to say
const ROW_H = 84; // of a part in the narrow plan
const TALL_ROW_H = 118; // where its facts stand below its name
const SHORT_ROW_H = 64; // without facts
const ROOMY = 520;
const GAP_Y = 76;
const RAIL = 40; // at the left of the narrow plan, for the edges

/** How jobs pass between the parts; the bell only wakes. */
export const WAYS = [
  ["client", "api"],
  ["api", "database"],
  ["api", "broker"],
  ["broker", "worker"],
  ["database", "worker"],
  ["worker", "provider"],
  ["worker", "storage"],
  ["storage", "api"],
] as const;

/** Place the parts for a width: a picture of two rows, or one column where that is too narrow. */
export function planFor(width: number, ids: string[]): Plan {
  const wide = width >= WIDE;
  const boxes = wide ? wideBoxes(width, ids) : narrowBoxes(width, ids);
  const edges = WAYS.flatMap(([from, to]) =>
    ids
      .filter((id) => id === to || (to === "provider" && id.startsWith("provider:")))
      .map((id) => ({
        id: `${from}>${id}`,
        d: wide ? wideEdge(boxes, from, id) : narrowEdge(boxes, from, id),
        bell: from === "broker" || to === "broker",
      })),
  );
  const height = Math.max(...[...boxes.values()].map(({ y, h }) => y + h)) + (wide ? 44 : 0);
  return { wide, height, boxes, edges };
}

function wideBoxes(width: number, ids: string[]): Map<string, Box> {
  const gap = Math.min(72, width * 0.05);
  const w = (width - 4 * gap) / 5;
  const bottom = BOX_H + GAP_Y;
  const box = (id: string, column: number, row: number): [string, Box] => {
    const h = SMALL_H[id] ?? BOX_H;
    return [id, { x: column * (w + gap), y: row + (BOX_H - h) / 2, w, h }];
  };
  const providers = ids.filter((id) => id.startsWith("provider:"));
  const step = providers.length > 2 ? BOX_H + 16 : bottom;
  return new Map([
    ...["client", "api", "database", "worker"].map((id, column) => box(id, column, 0)),
    ...providers.map((id, row) => box(id, 4, row * step)),
    box("broker", 2, bottom),
    box("storage", 3, bottom),
  ]);
}

function narrowBoxes(width: number, ids: string[]): Map<string, Box> {
  const full = width < ROOMY ? TALL_ROW_H : ROW_H;
  let y = 0;
  const boxes = ids.map((id): [string, Box] => {
    const h = id === "client" ? SHORT_ROW_H : full;
    const box = { x: RAIL, y, w: width - RAIL, h };
    y += h + 12;
    return [id, box];
  });
  return new Map(boxes);
}

function wideEdge(boxes: Map<string, Box>, from: string, to: string): string {
  const a = at(boxes, from);
  const b = at(boxes, to);
  const middle = (box: Box) => box.y + box.h / 2;
  if (from === "storage") return under(a, b);
  if (to === "broker") return bend(a.x + a.w * 0.7, a.y + a.h, b.x, middle(b));
  if (from === "broker") return rise(a.x + a.w, middle(a), b.x, b.y + b.h * 0.8);
  if (to === "storage") return `M${a.x + a.w * 0.6} ${a.y + a.h}V${b.y}`;
  const [x1, x2] = [a.x + a.w, b.x];
  const half = (x2 - x1) / 2;
  return `M${x1} ${middle(a)}C${x1 + half} ${middle(a)} ${x2 - half} ${middle(b)} ${x2} ${middle(b)}`;
}

/** Down, then right. */
function bend(x1: number, y1: number, x2: number, y2: number): string {
  const r = 14;
  return `M${x1} ${y1}V${y2 - r}Q${x1} ${y2} ${x1 + r} ${y2}H${x2}`;
}

/** Right into the gap, up, and right again. */
function rise(x1: number, y1: number, x2: number, y2: number): string {
  const x = (x1 + x2) / 2;
  const r = Math.min(14, (x2 - x1) / 2);
  return `M${x1} ${y1}H${x - r}Q${x} ${y1} ${x} ${y1 - r}V${y2 + r}Q${x} ${y2} ${x + r} ${y2}H${x2}`;
}

/** Below all, back to the left. */
function under(a: Box, b: Box): string {
  const r = 14;
  const low = a.y + a.h + 30;
  const [x1, x2] = [a.x + a.w * 0.6, b.x + b.w * 0.35];
  return `M${x1} ${a.y + a.h}V${low - r}Q${x1} ${low} ${x1 - r} ${low}H${x2 + r}Q${x2} ${low} ${x2} ${low - r}V${b.y + b.h}`;
}

function narrowEdge(boxes: Map<string, Box>, from: string, to: string): string {
  const a = at(boxes, from);
  const b = at(boxes, to);
  const [y1, y2] = [a.y + a.h / 2, b.y + b.h / 2];
  const down = Math.sign(y2 - y1);
  const far = Math.abs(y2 - y1) > TALL_ROW_H * 1.5;
  const x = RAIL - (far ? 28 : 14);
  const r = Math.min(12, RAIL - x);
  const [s, e] = [y1 + down * 8, y2 - down * 8]; // so that ways in and out do not lie on one another
  return `M${RAIL} ${s}H${x + r}Q${x} ${s} ${x} ${s + down * r}V${e - down * r}Q${x} ${e} ${x + r} ${e}H${RAIL}`;
}

function at(boxes: Map<string, Box>, id: string): Box {
  const box = boxes.get(id);
  if (!box) throw new Error(`No place for ${id}`);
  return box;
}
