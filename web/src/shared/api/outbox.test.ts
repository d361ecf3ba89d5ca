import { act } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Asked, jobOf, newClient, serve } from "@/shared/testing";
import { jobKeys } from "./jobs";
import { connection } from "./live";
import { type Draft, draftJob, drafts, isDraft, mine, resume, send } from "./outbox";

const REQUEST = { prompt: "a fox", model: "a/b", parameters: { seed: 1 } };
const keysOf = (asked: Asked[]) => asked.map(({ headers }) => headers.get("Idempotency-Key"));
const stored = () => JSON.parse(localStorage.getItem("mediagen.outbox") ?? "[]") as Draft[];
const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

beforeEach(() => {
  vi.useFakeTimers();
  drafts.set([]);
  mine.set([]);
  connection.set("live");
});
afterEach(() => vi.useRealTimers());

describe("a request", () => {
  it("is sent with a key, and known as this browser's when it is taken", async () => {
    const asked = serve(() => ({ status: 202, body: jobOf({ id: "new" }) }));
    const client = newClient();
    client.setQueryData(jobKeys.list({}), { pages: [{ items: [], next_cursor: null }], pageParams: [""] });
    const job = await send(client, REQUEST, "key-1");
    expect(job.id).toBe("new");
    expect(asked).toMatchObject([{ method: "POST", path: "/generate", body: REQUEST }]);
    expect(keysOf(asked)).toEqual(["key-1"]);
    expect([drafts.get(), mine.get()]).toEqual([[], ["new"]]);
    expect(client.getQueryData(jobKeys.list({}))).toMatchObject({ pages: [{ items: [{ id: "new" }] }] });
  });

  it("is on disk before it is sent", async () => {
    const seen: unknown[] = [];
    serve(() => {
      seen.push(...stored());
      return { body: jobOf() };
    });
    await send(newClient(), REQUEST, "key-1");
    expect(seen).toMatchObject([{ key: "key-1", request: REQUEST, waiting: false }]);
    expect(stored()).toEqual([]);
  });

  it("is sent again with its key until the server is back", async () => {
    const answers = [null, { status: 503 }, { status: 429 }, { body: jobOf({ id: "late" }) }];
    const asked = serve(() => answers.shift() ?? null);
    const sent = send(newClient(), REQUEST, "key-1");
    await pass(0);
    expect(stored()).toMatchObject([{ key: "key-1", waiting: true }]);
    await pass(6100);
    expect((await sent).id).toBe("late");
    expect(keysOf(asked)).toEqual(["key-1", "key-1", "key-1", "key-1"]);
    expect(stored()).toEqual([]);
  });

  it("goes at once when the connection is back", async () => {
    connection.set("away");
    const answers = [null, { body: jobOf() }];
    const asked = serve(() => answers.shift() ?? null);
    const sent = send(newClient(), REQUEST);
    await pass(10);
    expect(asked).toHaveLength(1);
    connection.set("live");
    await pass(10);
    await sent;
    expect(asked).toHaveLength(2);
  });

  it("is given back when the server refuses it", async () => {
    const asked = serve(() => ({ status: 422, body: { detail: "No such model" } }));
    await expect(send(newClient(), REQUEST)).rejects.toThrow("No such model");
    await pass(10_000);
    expect(asked).toHaveLength(1);
    expect([drafts.get(), mine.get()]).toEqual([[], []]);
  });

  it("has a key of its own each time", async () => {
    const asked = serve(() => ({ body: jobOf() }));
    await Promise.all([send(newClient(), REQUEST), send(newClient(), REQUEST)]);
    expect(new Set(keysOf(asked)).size).toBe(2);
  });
});

describe("what an earlier visit left", () => {
  const left = (key: string): Draft => ({ key, request: REQUEST, at: "2026-11-20T12:00:00Z", waiting: true });

  it("is sent with the keys that it had", async () => {
    drafts.set([left("one"), left("two")]);
    const asked = serve(() => ({ body: jobOf() }));
    resume(newClient(), () => {});
    await pass(10);
    expect(keysOf(asked)).toEqual(["one", "two"]);
    expect(drafts.get()).toEqual([]);
  });

  it("is told when it is refused, and the rest goes on", async () => {
    drafts.set([left("bad"), left("good")]);
    serve(({ headers }) =>
      headers.get("Idempotency-Key") === "bad"
        ? { status: 400, body: { detail: "Too long" } }
        : { body: jobOf({ id: "g" }) },
    );
    const refused: string[] = [];
    resume(newClient(), ({ message }) => refused.push(message));
    await pass(10);
    expect([refused, mine.get()]).toEqual([["Too long"], ["g"]]);
  });

  it("is not sent twice by a page that is drawn twice", async () => {
    drafts.set([left("one")]);
    const asked = serve(() => ({ body: jobOf() }));
    resume(newClient(), () => {});
    resume(newClient(), () => {});
    await pass(10);
    expect(asked).toHaveLength(1);
  });
});

describe("a draft", () => {
  const draft: Draft = { key: "k", request: { prompt: "a" }, at: "2026-11-20T12:00:00Z", waiting: false };

  it("looks like the job that it is going to be", () => {
    expect(draftJob(draft)).toMatchObject({ prompt: "a", status: "pending", message: "Sending" });
    expect(draftJob({ ...draft, waiting: true }).message).toContain("sent once it is back");
  });

  it("is told from a job", () => {
    expect([isDraft(draftJob(draft)), isDraft(jobOf())]).toEqual([true, false]);
  });
});
