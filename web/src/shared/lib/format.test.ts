// @vitest-environment node

import { describe, expect, it } from "vitest";
import { ago, bytes, clockTime, count, exact, sentence, span, usd, wholeSpan } from "./format";

describe("a span of time", () => {
  it.each([
    [-5, "0 s"],
    [0, "0 s"],
    [40, "0 s"],
    [2449, "2.4 s"],
    [9949, "9.9 s"],
    [9950, "10 s"],
    [59_499, "59 s"],
    [59_500, "1 min 0 s"],
    [185_000, "3 min 5 s"],
    [3_599_499, "59 min 59 s"],
    [3_599_500, "1 h 0 min"],
    [7_800_000, "2 h 10 min"],
  ])("of %i ms is %s", (ms, words) => {
    expect(span(ms)).toBe(words);
  });

  it("ticks in whole seconds", () => {
    expect(wholeSpan(1999)).toBe("1 s");
    expect(wholeSpan(-1)).toBe("0 s");
  });
});

describe("how long ago", () => {
  const at = Date.parse("2026-11-20T12:00:00Z");
  it.each([
    ["2026-11-20T12:05:00Z", "just now"],
    ["2026-11-20T11:59:51Z", "just now"],
    ["2026-11-20T11:59:30Z", "30 seconds ago"],
    ["2026-11-20T11:58:30Z", "1 minute ago"],
    ["2026-11-20T09:00:00Z", "3 hours ago"],
    ["2026-11-19T11:00:00Z", "yesterday"],
    ["2026-11-10T12:00:00Z", "10 days ago"],
  ])("%s was: %s", (time, words) => {
    expect(ago(time, at)).toBe(words);
  });
});

it("tells exact times to the millisecond", () => {
  const time = new Date(2026, 10, 21, 14, 3, 9, 120).toISOString();
  expect(exact(time)).toBe("21 Nov 2026, 14:03:09.120");
  expect(clockTime(time)).toBe("14:03:09.120");
});

it.each([
  [0, "0 B"],
  [812, "812 B"],
  [999, "999 B"],
  [1000, "1 kB"],
  [1_234_567, "1.2 MB"],
  [99_500_000, "100 MB"],
  [999_500, "1 MB"],
  [5e15, "5000 TB"],
])("%d bytes are %s", (size, words) => {
  expect(bytes(size)).toBe(words);
});

it.each([
  [0, "$0.00"],
  [0.000001, "$0.000001"],
  [0.00042, "$0.00042"],
  [0.003, "$0.003"],
  [0.0123, "$0.0123"],
  [0.25, "$0.25"],
  [1234.5, "$1,234.50"],
])("%d dollars are %s", (amount, words) => {
  expect(usd(amount)).toBe(words);
});

it("counts things", () => {
  expect(count(1, "call")).toBe("1 call");
  expect(count(0, "call")).toBe("0 calls");
  expect(count(1200, "reply", "replies")).toBe("1,200 replies");
});

it("begins a sentence, if there is one", () => {
  expect([sentence("mock is making it"), sentence(""), sentence("ärger")]).toEqual([
    "Mock is making it",
    "",
    "Ärger",
  ]);
});
