import { createStore, type Store } from "./store";

const PREFIX = "mediagen.";

function read<T>(name: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(PREFIX + name);
    const value: unknown = text === null ? otherwise : JSON.parse(text);
    return isLike(value, otherwise) ? (value as T) : otherwise;
  } catch {
    return otherwise; // closed to us, or written by something else
  }
}

const isLike = (value: unknown, model: unknown) =>
  typeof value === typeof model && value !== null && Array.isArray(value) === Array.isArray(model);

function write(name: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // full, or closed to us: it is kept for this visit only
  }
}

/** A store that outlives a reload, and follows what other tabs of this browser write. */
export function createStoredStore<T>(name: string, initial: T): Store<T> {
  const store = createStore<T>(read(name, initial));
  store.subscribe(() => write(name, store.get()));
  globalThis.addEventListener?.("storage", (event) => {
    if (event.key === PREFIX + name) store.set(read(name, initial));
  });
  return store;
}
