// @vitest-environment node

import { expect, it } from "vitest";
import type { Job } from "@/shared/api/jobs";
import { around } from "./frames";

const job = (id: string, files: number) => ({ id, artifacts: Array(files).fill({}) }) as unknown as Job;
const JOBS = [job("a", 1), job("b", 2), job("c", 0)];

it.each([
  ["a", 0, undefined, ["b", 0]],
  ["b", 0, ["a", 0], ["b", 1]],
  ["b", 1, ["b", 0], ["c", 0]],
  ["c", 0, ["b", 1], undefined],
  ["gone", 0, undefined, undefined],
])("around %s/%i", (id, number, before, after) => {
  const found = around(JOBS, { id, number });
  expect(found.before && [found.before.id, found.before.number]).toEqual(before);
  expect(found.after && [found.after.id, found.after.number]).toEqual(after);
});
