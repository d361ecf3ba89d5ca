// @vitest-environment node

import { beforeEach, describe, expect, it } from "vitest";
import { clearSelection, select, selectAll, selection } from "./selection";

const ORDER = ["a", "b", "c", "d"];
const chosen = () => [...selection.get().ids].sort().join("");

describe("selection", () => {
  beforeEach(clearSelection);

  it("takes and drops one", () => {
    select("b", ORDER, false);
    expect(chosen()).toBe("b");
    select("b", ORDER, false);
    expect(chosen()).toBe("");
  });

  it("takes a range in either direction", () => {
    select("c", ORDER, false);
    select("a", ORDER, true);
    expect(chosen()).toBe("abc");
    select("d", ORDER, true);
    expect(chosen()).toBe("abcd");
  });

  it("takes one when there is nothing to count a range from", () => {
    select("d", ORDER, true);
    expect(chosen()).toBe("d");
  });

  it("takes all", () => {
    selectAll(ORDER);
    expect(chosen()).toBe("abcd");
  });
});
