// @vitest-environment node

import { describe, expect, it } from "vitest";
import { asked, NONE, read } from "./filters";

describe("filters", () => {
  it("are read from the address", () => {
    expect(read(new URLSearchParams("q=red%20fox&status=failed&model=a/b&days=7"))).toEqual({
      q: "red fox",
      status: "failed",
      model: "a/b",
      days: "7",
    });
  });

  it("ignore what they do not know", () => {
    expect(read(new URLSearchParams("status=lost&days=5000"))).toEqual(NONE);
  });

  it("ask the server for nothing when nothing is chosen", () => {
    expect(asked(NONE)).toEqual({});
  });

  it("count days from midnight, today included", () => {
    const noon = new Date(2026, 10, 21, 12);
    expect(asked({ ...NONE, days: "1" }, noon).created_after).toBe(new Date(2026, 10, 21).toISOString());
    expect(asked({ ...NONE, days: "7" }, noon).created_after).toBe(new Date(2026, 10, 15).toISOString());
  });
});
