// @vitest-environment node

import { describe, expect, it } from "vitest";
import { justified } from "./layout";

const widths = (ratios: number[], { from, to, height }: { from: number; to: number; height: number }) =>
  ratios.slice(from, to).reduce((sum, ratio) => sum + ratio * height, 0) + (to - from - 1) * 8;

describe("justified", () => {
  it("fills every row but the last to its edge", () => {
    const ratios = Array.from({ length: 50 }, (_, index) => 0.5 + (index % 5) * 0.4);
    const rows = justified(ratios, 1200, 200, 8);
    for (const row of rows.slice(0, -1)) expect(Math.abs(widths(ratios, row) - 1200)).toBeLessThan(8);
    expect(rows.at(-1)?.to).toBe(50);
  });

  it("leaves no picture out and shows none twice", () => {
    const rows = justified([1, 5, 0.2, 1, 1], 300, 200, 8);
    expect(
      rows.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, index) => from + index)),
    ).toEqual([0, 1, 2, 3, 4]);
  });

  it("keeps a lone last picture at the usual height", () => {
    expect(justified([1], 1200, 200, 8)).toEqual([{ from: 0, to: 1, height: 200, full: false }]);
  });

  it("has no rows without pictures", () => {
    expect(justified([], 1200, 200, 8)).toEqual([]);
  });
});
