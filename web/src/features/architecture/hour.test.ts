// @vitest-environment node

import { expect, it } from "vitest";
import { loads, type Minute, reasons } from "./hour";

const minute = (values: Partial<Minute>): Minute => ({
  at: "2026-01-01T00:00:00Z",
  accepted: 0,
  begun: 0,
  completed: 0,
  failed: 0,
  canceled: 0,
  ...values,
});

it("reckons back what waited and what was at work", () => {
  const minutes = [minute({ accepted: 5 }), minute({ begun: 3 }), minute({ completed: 1, failed: 1 })];
  expect(loads({ minutes, queue_depth: 2, in_flight: 1 })).toEqual([
    { queued: 5, inFlight: 0 },
    { queued: 2, inFlight: 3 },
    { queued: 2, inFlight: 1 },
  ]);
});

it("never goes below nothing when jobs were deleted meanwhile", () => {
  expect(loads({ minutes: [minute({}), minute({ accepted: 9 })], queue_depth: 0, in_flight: 0 })[0]).toEqual({
    queued: 0,
    inFlight: 0,
  });
});

it("names the reasons in words, the commonest first", () => {
  expect(reasons({ odd_code: 1, timeout: 4 })).toEqual([
    ["Took too long", 4],
    ["odd code", 1],
  ]);
});
