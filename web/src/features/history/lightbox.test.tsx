import { act, fireEvent, screen, waitFor } from "@testing-library/react";
import { useState } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { leaving } from "@/entities/job/remove";
import type { Job } from "@/shared/api/jobs";
import { press } from "@/shared/lib/commands";
import { toasts } from "@/shared/lib/toast";
import { artifactOf, detailOf, jobOf, serve, show, workOf } from "@/shared/testing";
import type { Frame } from "./frames";
import { Lightbox } from "./lightbox";

const pictures = (...indices: number[]) => indices.map((index) => artifactOf({ index }));
const JOBS: Job[] = [
  jobOf({ id: "a", prompt: "first", artifacts: pictures(0, 1) }),
  jobOf({ id: "b", prompt: "second", artifacts: pictures(2), parameters: { seed: 7 } }),
  jobOf({ id: "c", prompt: "third", status: "failed", error_message: "Refused" }),
];
const key = (name: string, target: Element = document.body) => fireEvent.keyDown(target, { key: name });
const shown = () => screen.getByRole("dialog").getAttribute("aria-labelledby");
const title = () => document.getElementById(shown() ?? "")?.textContent;
const picture = () => screen.queryByRole<HTMLImageElement>("img")?.src.replace(/.*picture-/, "");

function Page({ jobs, first }: { jobs: Job[]; first: Frame }) {
  const [frame, setFrame] = useState<Frame | null>(null);
  return (
    <>
      <button type="button" onClick={() => setFrame(first)}>
        Open
      </button>
      {frame && <Lightbox jobs={jobs} frame={frame} onShow={setFrame} onClose={() => setFrame(null)} />}
    </>
  );
}

function open(id = "a", number = 0, jobs = JOBS) {
  serve(({ path }) => {
    const job = jobs.find((one) => path === `/jobs/${one.id}`);
    if (path === "/models") return { body: { items: [], mock_mode: true, connect_with: [] } };
    return job ? { body: detailOf(job) } : { status: 404, body: { detail: "Job not found" } };
  });
  const page = show(<Page jobs={jobs} first={{ id, number }} />, { path: "/history" });
  const button = screen.getByRole("button", { name: "Open" });
  button.focus();
  fireEvent.click(button);
  return { ...page, button };
}

beforeEach(() => {
  toasts.set([]);
  leaving.set(new Set());
  addEventListener("keydown", press);
});
afterEach(() => removeEventListener("keydown", press));

describe("a picture shown large", () => {
  it("leads on by the arrows, over the borders of jobs, to either end", () => {
    open();
    const seen = ["ArrowLeft", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight"].map((name) => {
      key(name);
      return `${title()} ${picture()}`;
    });
    expect(seen).toEqual([
      "first 0.png",
      "first 1.png",
      "second 2.png",
      "third undefined",
      "third undefined",
    ]);
    expect(screen.getByText("Refused")).toBeDefined();
    key("ArrowLeft");
    expect(title()).toBe("second");
  });

  it("leads on by its buttons, as far as there is more", () => {
    open();
    expect(screen.queryByRole("button", { name: "Picture before" })).toBeNull();
    fireEvent.click(screen.getByRole("button", { name: "Next picture" }));
    fireEvent.click(screen.getByRole("button", { name: "Picture before" }));
    expect(picture()).toBe("0.png");
  });

  it("closes by Escape, and the focus is where it was", async () => {
    const { button } = open();
    await act(async () => {});
    expect(document.activeElement).toBe(screen.getByRole("dialog"));
    key("Escape", screen.getByRole("dialog"));
    expect(screen.queryByRole("dialog")).toBeNull();
    await waitFor(() => expect(document.activeElement).toBe(button));
  });

  it("tells all about its job by I, and no more by another", async () => {
    open("b");
    key("i");
    expect(await screen.findByText("As code")).toBeDefined();
    expect(screen.getByRole("button", { name: "Details" }).getAttribute("aria-pressed")).toBe("true");
    key("i");
    expect(screen.queryByText("As code")).toBeNull();
  });

  it("is deleted by Delete, with a way back", () => {
    open("b");
    key("Delete");
    expect([...leaving.get()]).toEqual(["b"]);
    expect(screen.queryByRole("dialog")).toBeNull();
    act(() => toasts.get()[0]?.action?.run());
    expect([...leaving.get()]).toEqual([]);
  });

  it("is not deleted while it is made", () => {
    open("w", 0, [workOf({ id: "w" })]);
    key("Delete");
    expect([...leaving.get()]).toEqual([]);
    expect(toasts.get()[0]?.text).toBe("It is at work: cancel it first");
    expect(screen.getByRole("dialog")).toBeDefined();
  });

  it("is used again by R", () => {
    const { address } = open("b");
    key("r");
    expect(address()).toBe("/?prompt=second&model=mock%2Fdarkroom&parameters=%7B%22seed%22%3A7%7D");
  });

  it("is saved by D, each of its job's files", () => {
    const click = vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(() => {});
    open();
    key("d");
    expect(click).toHaveBeenCalledTimes(2);
  });

  it("leaves letters to whoever types over it", () => {
    open("b");
    const field = screen.getByRole("dialog").appendChild(document.createElement("input"));
    for (const name of ["Delete", "r", "d", "i"]) key(name, field);
    expect([...leaving.get()]).toEqual([]);
    expect(title()).toBe("second");
    field.remove();
  });

  it("says so when there is no such job", async () => {
    open("lost");
    expect(await screen.findByText("Job not found")).toBeDefined();
  });
});
