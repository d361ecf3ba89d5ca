// @vitest-environment node

import { beforeEach, expect, it } from "vitest";
import { dropToast, toast, toasts } from "./toast";

const texts = () => toasts.get().map(({ text }) => text);
beforeEach(() => toasts.set([]));

it("shows the last three", () => {
  for (const text of ["a", "b", "c", "d"]) toast(text);
  expect(texts()).toEqual(["b", "c", "d"]);
});

it("says the same once, at its last place", () => {
  for (const text of ["a", "b", "a"]) toast(text);
  expect(texts()).toEqual(["b", "a"]);
});

it("keeps every way back", () => {
  const runs: string[] = [];
  for (const id of ["a", "b"])
    toast("1 job deleted", { action: { label: "Undo", run: () => runs.push(id) } });
  for (const { action } of toasts.get()) action?.run();
  expect(runs).toEqual(["a", "b"]);
});

it("drops one and keeps the others", () => {
  toast("a");
  toast("b", { tone: "bad" });
  dropToast(toasts.get()[0]?.id ?? -1);
  expect(toasts.get()).toMatchObject([{ text: "b", tone: "bad" }]);
});
