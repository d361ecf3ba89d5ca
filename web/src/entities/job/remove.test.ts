import { act } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type JobDetail, jobKeys } from "@/shared/api/jobs";
import { toasts } from "@/shared/lib/toast";
import { detailOf, newClient, serve } from "@/shared/testing";
import { leaving, removeWithUndo } from "./remove";

let client = newClient();
const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));
const known = () => client.getQueriesData<JobDetail>({ queryKey: jobKeys.details }).map(([key]) => key[2]);
const gone = () => [...leaving.get()];
const said = () => toasts.get().map(({ text }) => text);
const undo = () => toasts.get()[0]?.action?.run();

beforeEach(() => {
  vi.useFakeTimers();
  toasts.set([]);
  leaving.set(new Set());
  client = newClient();
  for (const id of ["a", "b"]) client.setQueryData(jobKeys.detail(id), detailOf({ id }));
});
afterEach(() => vi.useRealTimers());

describe("deleting", () => {
  it("looks done at once, and is done a moment later", async () => {
    const asked = serve(() => ({ status: 204 }));
    removeWithUndo(client, [{ id: "a" }, { id: "b" }]);
    expect([gone(), said()]).toEqual([["a", "b"], ["2 jobs deleted"]]);
    await pass(5900);
    expect(asked).toEqual([]);
    await pass(200);
    expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "DELETE /jobs/a",
      "DELETE /jobs/b",
    ]);
    expect([known(), gone()]).toEqual([[], []]);
  });

  it("can be undone: then nothing is asked for", async () => {
    const asked = serve(() => ({ status: 204 }));
    removeWithUndo(client, [{ id: "a" }]);
    removeWithUndo(client, [{ id: "b" }]);
    undo();
    expect(gone()).toEqual(["b"]);
    await pass(10_000);
    expect(asked.map(({ path }) => path)).toEqual(["/jobs/b"]);
    expect(known()).toEqual(["a"]);
  });

  it("says what stays, and shows it again", async () => {
    serve(({ path }) =>
      path === "/jobs/a" ? { status: 409, body: { detail: "at work" } } : { status: 204 },
    );
    removeWithUndo(client, [{ id: "a" }, { id: "b" }]);
    await pass(6100);
    expect([known(), gone()]).toEqual([["a"], []]);
    expect(said()).toContain("1 job could not be deleted");
  });

  it("is done when somebody else did it before", async () => {
    serve(() => ({ status: 404, body: { detail: "Job not found" } }));
    removeWithUndo(client, [{ id: "a" }]);
    await pass(6100);
    expect(known()).toEqual(["b"]);
    expect(said()).toEqual(["1 job deleted"]);
  });

  it("is done at once when the page is closed", async () => {
    const asked = serve(() => ({ status: 204 }));
    removeWithUndo(client, [{ id: "a" }]);
    dispatchEvent(new Event("pagehide"));
    await pass(0);
    expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual(["DELETE /jobs/a"]);
  });
});
