import { act, fireEvent, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { leaving } from "@/entities/job/remove";
import { press } from "@/shared/lib/commands";
import { toasts } from "@/shared/lib/toast";
import { artifactOf, jobOf, show, workOf } from "@/shared/testing";
import { clearSelection, selectAll, selection } from "./selection";
import { SelectionBar } from "./selection-bar";
import { Tile } from "./tile";

const DONE = jobOf({ id: "a", artifacts: [artifactOf(), artifactOf({ index: 1 })] });
const WORK = workOf({ id: "b" });
const button = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });
const said = () => toasts.get().map(({ text }) => text);

beforeEach(() => {
  vi.useFakeTimers();
  toasts.set([]);
  leaving.set(new Set());
  selectAll(["a", "b"]);
  addEventListener("keydown", press);
});
afterEach(() => {
  vi.useRealTimers();
  removeEventListener("keydown", press);
  clearSelection();
});

describe("the bar of chosen jobs", () => {
  it("says how many there are, and how many files", () => {
    show(<SelectionBar jobs={[DONE, WORK]} />);
    expect(screen.getByRole("toolbar", { name: "Chosen jobs" }).textContent).toContain("2 chosen");
    expect(button("Download as zip").textContent).toBe("Zip, 2 files");
  });

  it("deletes what has ended, and says what stays", () => {
    show(<SelectionBar jobs={[DONE, WORK]} />);
    fireEvent.click(button("Delete"));
    expect([[...leaving.get()], said()]).toEqual([
      ["a"],
      ["Jobs at work stay: cancel them first", "1 job deleted"],
    ]);
    expect(selection.get().ids.size).toBe(0);
  });

  it("deletes nothing that is at work", () => {
    show(<SelectionBar jobs={[WORK]} />);
    fireEvent.keyDown(document.body, { key: "Delete" });
    expect([[...leaving.get()], said()]).toEqual([[], ["Jobs at work stay: cancel them first"]]);
  });

  it.each([
    ["its button", () => fireEvent.click(button("Choose none"))],
    ["Escape", () => fireEvent.keyDown(document.body, { key: "Escape" })],
  ])("lets all go by %s", (_, letGo) => {
    show(<SelectionBar jobs={[DONE]} />);
    letGo();
    expect(selection.get().ids.size).toBe(0);
  });

  it("has nothing to pack without files", () => {
    show(<SelectionBar jobs={[WORK]} />);
    expect(button("Download as zip").disabled).toBe(true);
  });

  it("says which file could not be packed, and can be asked again", async () => {
    vi.useRealTimers();
    vi.stubGlobal("fetch", async () => new Response("", { status: 404 }));
    show(<SelectionBar jobs={[DONE]} />);
    fireEvent.click(button("Download as zip"));
    await waitFor(() => expect(said()).toEqual(["a-red-fox-a-1.png could not be read (404)"]));
    await waitFor(() => expect(button("Download as zip").disabled).toBe(false));
  });
});

describe("a tile of the gallery", () => {
  const tiles = (onOpen = vi.fn()) => {
    const jobs = ["a", "b", "c"].map((id) => jobOf({ id, prompt: id }));
    const order = jobs.map(({ id }) => id);
    show(jobs.map((job) => <Tile key={job.id} job={job} order={order} width={100} grow onOpen={onOpen} />));
    return onOpen;
  };
  const tile = (id: string) => button(`${id}. Made in 2.4 s`);
  const chosen = () => [...selection.get().ids].sort().join("");
  beforeEach(clearSelection);

  it("opens by a click", () => {
    const open = tiles();
    fireEvent.click(tile("b"));
    expect(open).toHaveBeenCalledExactlyOnceWith("b");
    expect(chosen()).toBe("");
  });

  it("is chosen by its mark; from then on a click chooses, and Shift chooses all between", () => {
    const open = tiles();
    fireEvent.click(button("Choose a"));
    expect(button("Choose a").getAttribute("aria-pressed")).toBe("true");
    fireEvent.click(tile("c"), { shiftKey: true });
    expect(chosen()).toBe("abc");
    fireEvent.click(tile("b"));
    expect(chosen()).toBe("ac");
    expect(open).not.toHaveBeenCalled();
  });

  it("is chosen by Ctrl and a click, too", () => {
    tiles();
    fireEvent.click(tile("b"), { ctrlKey: true });
    act(() => {});
    expect(chosen()).toBe("b");
  });
});
