import { act, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { learnServerTime, now, useNow } from "./clock";

const START = new Date("2026-11-20T12:00:00Z");
const Clock = ({ running = true }) => <p>{new Date(useNow(running)).toISOString().slice(11, 19)}</p>;

beforeEach(() => vi.useFakeTimers({ now: START }));
afterEach(() => {
  learnServerTime(new Date().toUTCString());
  vi.useRealTimers();
});

it("goes by the server's time when ours is wrong", () => {
  learnServerTime("Fri, 20 Nov 2026 12:05:00 GMT");
  expect(now() - Date.now()).toBe(300_000);
  learnServerTime("Fri, 20 Nov 2026 12:00:01 GMT"); // the header knows whole seconds only
  expect(now()).toBe(Date.now());
});

it("takes no time from a header that is missing or broken", () => {
  learnServerTime("Fri, 20 Nov 2026 12:05:00 GMT");
  learnServerTime(null);
  learnServerTime("soon");
  expect(now() - Date.now()).toBe(300_000);
});

it("ticks every second, for all that look at it", () => {
  render(
    <>
      <Clock />
      <Clock />
    </>,
  );
  act(() => vi.advanceTimersByTime(3000));
  expect(screen.getAllByText("12:00:03")).toHaveLength(2);
});

it("stands still when it is told to, and stops when nobody looks", () => {
  const { unmount } = render(<Clock running={false} />);
  act(() => vi.advanceTimersByTime(3000));
  expect(screen.getByText("12:00:00")).toBeDefined();
  unmount();
  render(<Clock />).unmount();
  expect(vi.getTimerCount()).toBe(0);
});
