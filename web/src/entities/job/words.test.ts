// @vitest-environment node

import { describe, expect, it } from "vitest";
import { artifactOf, jobOf, workOf } from "@/shared/testing";
import { layoutOf } from "./layout";
import { outputCount, ratioOf } from "./shape";
import { factWords, failureWords, statusWords, timeWords } from "./words";

const START = Date.parse("2026-11-20T12:00:00.000Z");

it.each([
  [jobOf(), "Made in 2.4 s"],
  [jobOf({ status: "failed" }), "Failed"],
  [jobOf({ status: "canceled" }), "Canceled"],
  [workOf(), "Mock is making it"],
  [workOf({ cancel_requested: true }), "Canceling"],
])("says how it stands: %#", (job, words) => {
  expect(statusWords(job)).toBe(words);
});

describe("the time that it takes", () => {
  it("is told while it is at work", () => {
    expect(timeWords(workOf(), START + 12_900)).toBe("12 s so far");
    expect(timeWords(workOf(), START + 12_900, 8700)).toBe("12 s so far, usually 9 s");
    expect(timeWords(workOf(), START, 20)).toBe("0 s so far, usually 1 s");
    expect(timeWords(jobOf(), START + 12_900, 8700)).toBe("");
  });

  it("names the next attempt, until it is due", () => {
    const job = workOf({ next_try_at: "2026-11-20T12:00:10.000Z", attempt: 1, max_attempts: 4 });
    expect(timeWords(job, START + 5500)).toBe("Trying again in 5 s (2 of 4), 5 s so far");
    expect(timeWords(job, START + 10_000, 8000)).toBe("10 s so far, usually 8 s");
  });
});

describe("why it failed", () => {
  const failed = (part: object) =>
    jobOf({ status: "failed", error_message: "the prompt was refused. ", ...part });
  it.each([
    [failed({ attempt: 0 }), false, "The prompt was refused. Nothing was charged."],
    [failed({ attempt: 2 }), true, "The prompt was refused. Nothing was charged."],
    [failed({ attempt: 1 }), false, "The prompt was refused. At most 1 call may have been charged."],
    [failed({ attempt: 3 }), false, "The prompt was refused. At most 3 calls may have been charged."],
    [failed({ attempt: 0, error_message: null }), false, "No reason is known. Nothing was charged."],
    [jobOf(), false, ""],
  ])("%#", (job, free, words) => {
    expect(failureWords(job, free)).toBe(words);
  });
});

it.each([
  [{}, "mock/darkroom"],
  [{ width: 1024, height: 768, seed: 0 }, "mock/darkroom · 1024 × 768 · seed 0"],
  [{ aspect_ratio: "16:9", seed: null }, "mock/darkroom · 16:9"],
  [{ aspect_ratio: { toString: 1 }, width: { valueOf: 1 }, height: [], seed: {} }, "mock/darkroom"],
])("tells the facts of %j", (parameters, words) => {
  expect(factWords(jobOf({ parameters }))).toBe(words);
});

describe("the place of a picture", () => {
  it.each([
    [{}, 1],
    [{ aspect_ratio: "3:2" }, 1.5],
    [{ aspect_ratio: "match_input" }, 1],
    [{ width: 800, height: 400 }, 2],
    [{ width: 0, height: 0 }, 1],
    [{ width: 100_000, height: 1 }, 5],
    [{ aspect_ratio: "1:9999" }, 0.2],
    [{ aspect_ratio: { toString: "x" }, width: { toString: 1 }, height: { valueOf: 1 } }, 1],
  ])("is kept as asked for: %j", (parameters, ratio) => {
    expect(ratioOf({ parameters: JSON.parse(JSON.stringify(parameters)), artifacts: [] })).toBe(ratio);
  });

  it("follows the picture when that has another shape", () => {
    const parameters = { aspect_ratio: "1:1" };
    expect(ratioOf({ parameters, artifacts: [artifactOf({ width: 1200, height: 600 })] })).toBe(2);
    expect(ratioOf({ parameters, artifacts: [artifactOf({ width: 1024, height: 1000 })] })).toBe(1);
    expect(ratioOf({ parameters, artifacts: [artifactOf({ width: null })] })).toBe(1);
  });

  it.each([
    [{}, 1],
    [{ num_outputs: 3 }, 3],
    [{ n: "2" }, 2],
    [{ num_images: 900 }, 16],
    [{ num_outputs: -1 }, 1],
    [{ num_outputs: "many" }, 1],
    [{ num_outputs: { toString: 1 } }, 1],
  ])("is one of as many as were asked for: %j", (parameters, many) => {
    expect(outputCount({ parameters, artifacts: [] })).toBe(many);
    expect(outputCount({ parameters, artifacts: [artifactOf(), artifactOf({ index: 1 })] })).toBe(2);
  });

  it.each([
    [1, 1, 1, 1],
    [1, 2, 2, 2],
    [1.5, 2, 1, 0.75],
    [1.5, 3, 2, 1],
    [1, 4, 2, 1],
    [1, 5, 3, 1.5],
  ])("%d wide, of %i: %i columns, %d as a whole", (ratio, many, columns, whole) => {
    expect(layoutOf(ratio, many)).toMatchObject({ columns, whole });
  });
});
