import { createStore } from "./store";

export interface Toast {
  id: number;
  text: string;
  tone: "plain" | "bad";
  action?: { label: string; run: () => void };
  stayMs?: number;
}

const MOST = 3;
let made = 0;

/** What `Toasts` shows. */
export const toasts = createStore<Toast[]>([]);

/** Tell what happened where the reader may not be looking. The same is said once, unless it offers something. */
export function toast(text: string, more: Partial<Pick<Toast, "tone" | "action" | "stayMs">> = {}): void {
  made += 1;
  const fresh: Toast = { id: made, text, tone: "plain", ...more };
  toasts.set((all) => [...all.filter((other) => other.text !== text || other.action), fresh].slice(-MOST));
}

export const dropToast = (id: number) => toasts.set((all) => all.filter((other) => other.id !== id));
