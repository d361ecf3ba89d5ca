import { expect, it, vi } from "vitest";
import { createStoredStore } from "./storage";

const written = (name: string) => localStorage.getItem(`mediagen.${name}`);
const write = (name: string, text: string) => localStorage.setItem(`mediagen.${name}`, text);

it("outlives a reload", () => {
  createStoredStore("one", { a: 1 }).set({ a: 2 });
  expect(createStoredStore("one", { a: 1 }).get()).toEqual({ a: 2 });
});

it("follows what another tab writes, and what it clears", () => {
  const store = createStoredStore("two", "first");
  write("two", '"theirs"');
  dispatchEvent(new StorageEvent("storage", { key: "mediagen.two" }));
  expect(store.get()).toBe("theirs");
  localStorage.clear();
  dispatchEvent(new StorageEvent("storage", { key: "mediagen.two" }));
  expect(store.get()).toBe("first");
});

it("does not listen to what others write", () => {
  const store = createStoredStore("three", 1);
  write("three", "2");
  dispatchEvent(new StorageEvent("storage", { key: "three" }));
  expect(store.get()).toBe(1);
});

it.each(["{broken", "null", "7", '"text"', '{"a": 1}'])("takes no list from %s", (text) => {
  write("list", text);
  expect(createStoredStore<number[]>("list", [1]).get()).toEqual([1]);
});

it("goes on for this visit when storage is full or closed", () => {
  const closed = () => {
    throw new DOMException("denied", "SecurityError");
  };
  vi.stubGlobal("localStorage", { getItem: closed, setItem: closed, clear() {} });
  const store = createStoredStore("four", "x");
  store.set("y");
  expect(store.get()).toBe("y");
  vi.unstubAllGlobals();
  expect(written("four")).toBeNull();
});
