// @vitest-environment node

import { expect, it } from "vitest";
import { beside } from "./steps";

const ROWS = [
  { from: 0, to: 4, height: 100, full: true },
  { from: 4, to: 6, height: 100, full: true },
  { from: 6, to: 7, height: 100, full: true },
];

it.each([
  [0, "ArrowRight", 1],
  [3, "ArrowRight", 4],
  [0, "ArrowLeft", undefined],
  [6, "ArrowRight", undefined],
  [0, "ArrowDown", 4],
  [3, "ArrowDown", 5],
  [5, "ArrowDown", 6],
  [6, "ArrowDown", undefined],
  [5, "ArrowUp", 3],
  [1, "ArrowUp", undefined],
  [1, "Enter", undefined],
])("from %i, %s leads to %s", (at, key, to) => {
  expect(beside(ROWS, at, key)).toBe(to);
});
