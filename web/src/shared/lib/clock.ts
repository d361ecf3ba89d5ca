import { useEffect } from "react";
import { createStore, useStore } from "./store";

const LEAST_SKEW_MS = 2000; // the Date header knows whole seconds only

let skewMs = 0; // how far the server's clock is ahead of ours

/** Learn the server's time from the Date header of an answer. */
export function learnServerTime(date: string | null): void {
  const ahead = date ? Date.parse(date) - Date.now() : Number.NaN;
  if (!Number.isNaN(ahead)) skewMs = Math.abs(ahead) > LEAST_SKEW_MS ? ahead : 0;
}

/** The server's time, which all times of jobs are in: milliseconds since 1970. */
export const now = () => Date.now() + skewMs;

const ticks = createStore(0);
let followers = 0;
let timer: ReturnType<typeof setInterval> | undefined;

/** Return the server's time, and render again every second while `running`. */
export function useNow(running = true): number {
  useStore(ticks);
  useEffect(() => {
    if (!running) return;
    followers += 1;
    timer ??= setInterval(() => ticks.set((count) => count + 1), 1000);
    return () => {
      followers -= 1;
      if (followers > 0) return;
      clearInterval(timer);
      timer = undefined;
    };
  }, [running]);
  return now();
}
