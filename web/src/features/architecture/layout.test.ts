// @vitest-environment node

import { describe, expect, it } from "vitest";
import { type Box, planFor, WAYS } from "./layout";

const IDS = ["client", "api", "database", "broker", "worker", "provider:mock", "storage"];
const MORE = [...IDS.slice(0, 6), "provider:replicate", "provider:cog", "storage"];

const overlap = (a: Box, b: Box) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

describe.each([328, 519, 520, 720, 900, 1104, 1400])("at %i px", (width) => {
  it.each([[IDS], [MORE]])("every part has a place of its own within the width", (ids) => {
    const { boxes, height } = planFor(width, ids);
    expect([...boxes.keys()].sort()).toEqual([...ids].sort());
    const places = [...boxes.values()];
    for (const [index, box] of places.entries()) {
      expect(box.x).toBeGreaterThanOrEqual(0);
      expect(box.x + box.w).toBeLessThanOrEqual(width + 0.01);
      expect(box.y + box.h).toBeLessThanOrEqual(height);
      for (const other of places.slice(index + 1)) expect(overlap(box, other)).toBe(false);
    }
  });

  it("every way is drawn, one to each provider", () => {
    const { edges } = planFor(width, MORE);
    expect(edges).toHaveLength(WAYS.length + 2);
    for (const { d } of edges) expect(d).toMatch(/^M[\d. ]+[HVCQ]/);
    expect(edges.map(({ d }) => d).join()).not.toContain("NaN");
  });
});
