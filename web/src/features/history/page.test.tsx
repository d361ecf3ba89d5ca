import { fireEvent, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { leaving } from "@/entities/job/remove";
import type { Job } from "@/shared/api/jobs";
import { press } from "@/shared/lib/commands";
import { toasts } from "@/shared/lib/toast";
import { type Asked, detailOf, jobOf, serve, show } from "@/shared/testing";
import { HistoryPage } from "./page";
import { selection } from "./selection";

const user = userEvent.setup({ delay: null });
let jobs: Job[] = [];
let asked: Asked[] = [];
let failing = false;

beforeEach(() => {
  toasts.set([]);
  leaving.set(new Set());
  failing = false;
  jobs = ["fox", "owl", "elk"].map((prompt) => jobOf({ id: prompt, prompt }));
  vi.spyOn(Element.prototype, "getBoundingClientRect").mockReturnValue(new DOMRect(0, 0, 1000, 100));
  asked = serve(({ path }) => {
    if (path === "/models") return { body: { items: [], mock_mode: true, connect_with: [] } };
    const one = jobs.find(({ id }) => path === `/jobs/${id}`);
    if (one) return { body: detailOf(one) };
    if (failing) return { status: 500, body: { detail: "The disk is full" } };
    return { body: { items: path.includes("q=") ? [] : jobs, next_cursor: null } };
  });
  addEventListener("keydown", press);
});
afterEach(() => removeEventListener("keydown", press));

const tiles = () => screen.queryAllByRole("button", { name: /Made in/ }).map((tile) => tile.dataset.job);
const tile = (prompt: string) => screen.findByRole("button", { name: `${prompt}. Made in 2.4 s` });

describe("history", () => {
  it("shows all jobs, and one of them large at an address of its own", async () => {
    const { address } = show(<HistoryPage />, { path: "/history?status=completed" });
    const owl = await tile("owl");
    expect(tiles()).toEqual(["fox", "owl", "elk"]);
    await user.click(owl);
    await waitFor(() => expect(address()).toBe("/history?status=completed&job=owl"));
    expect(await screen.findByRole("dialog", { name: "owl" })).toBeDefined();
    fireEvent.keyDown(document.body, { key: "ArrowRight" });
    await waitFor(() => expect(address()).toBe("/history?status=completed&job=elk"));
    fireEvent.click(screen.getByRole("button", { name: "Close" }));
    await waitFor(() => expect(address()).toBe("/history?status=completed"));
  });

  it("is walked through by the arrows", async () => {
    show(<HistoryPage />);
    (await tile("fox")).focus();
    await user.keyboard("{ArrowRight}");
    const next = await tile("owl");
    await waitFor(() => expect(document.activeElement).toBe(next));
  });

  it("chooses all by Ctrl+A, but not while somebody searches", async () => {
    show(<HistoryPage />);
    await tile("fox");
    const search = screen.getByRole("searchbox");
    expect(fireEvent.keyDown(search, { key: "a", ctrlKey: true })).toBe(true);
    expect(selection.get().ids.size).toBe(0);
    fireEvent.keyDown(document.body, { key: "a", ctrlKey: true });
    expect(screen.getByRole("toolbar", { name: "Chosen jobs" }).textContent).toContain("3 chosen");
  });

  it("leaves out what is about to be deleted, until it is undone", async () => {
    show(<HistoryPage />);
    await tile("fox");
    fireEvent.click(screen.getByRole("button", { name: "Choose owl" }));
    fireEvent.click(screen.getByRole("button", { name: "Delete" }));
    expect(tiles()).toEqual(["fox", "elk"]);
    toasts.get()[0]?.action?.run();
    await waitFor(() => expect(tiles()).toEqual(["fox", "owl", "elk"]));
  });

  it("asks the server for what is filtered, and says when nothing matches", async () => {
    const { address } = show(<HistoryPage />, { path: "/history?q=unicorn&status=failed" });
    await user.click(await screen.findByRole("button", { name: "Clear the filters" }));
    await waitFor(() => expect(address()).toBe("/history"));
    await tile("fox");
    const lists = asked.map(({ path }) => path).filter((path) => path.startsWith("/jobs?"));
    expect(lists).toEqual(["/jobs?q=unicorn&status=failed&limit=60", "/jobs?limit=60"]);
  });

  it("leads to the form while there is nothing", async () => {
    jobs = [];
    show(<HistoryPage />);
    expect((await screen.findByRole("link", { name: "Make something" })).getAttribute("href")).toBe("/");
  });

  it("says why it can't be read, and tries again", async () => {
    failing = true;
    show(<HistoryPage />);
    expect(await screen.findByText("The disk is full")).toBeDefined();
    failing = false;
    await user.click(screen.getByRole("button", { name: "Try again" }));
    expect(await tile("fox")).toBeDefined();
  });
});
