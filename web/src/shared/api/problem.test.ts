import { describe, expect, it, vi } from "vitest";
import { learnServerTime, now } from "@/shared/lib/clock";
import { serve } from "@/shared/testing";
import { apiPath, data } from "./client";
import { lookAt, newKey } from "./jobs";
import { Problem } from "./problem";
import { health } from "./system";

const failure = (asked: Promise<unknown>) =>
  asked.then(
    () => undefined,
    (error: Problem) => error,
  );

describe("an answer that is no success", () => {
  it("says what the server says, field by field", async () => {
    const errors = [{ field: "parameters.steps", message: "at most 50" }];
    serve(() => ({ status: 422, body: { detail: "The request is wrong", code: "invalid", errors } }));
    const problem = await failure(lookAt("a"));
    expect(problem).toBeInstanceOf(Problem);
    expect(problem).toMatchObject({ status: 422, code: "invalid", fields: errors });
    expect(problem?.message).toBe("The request is wrong");
  });

  it("has words for a server that has none", async () => {
    vi.stubGlobal("fetch", async () => new Response("<h1>Bad Gateway</h1>", { status: 502 }));
    expect(await failure(lookAt("a"))).toMatchObject({ message: "The server answered 502", fields: [] });
  });

  it("may be no answer at all", async () => {
    serve(() => null);
    expect(await failure(lookAt("a"))).toMatchObject({ status: 0, code: "away" });
  });

  it("is not what was broken off here", async () => {
    const stopped = new DOMException("stop", "AbortError");
    expect(await failure(data(Promise.reject(stopped)))).toBe(stopped);
  });

  it.each([
    [0, true],
    [400, false],
    [404, false],
    [409, false],
    [429, true],
    [500, false],
    [503, true],
  ])("%i may pass: %s", (status, temporary) => {
    expect(new Problem(status, {}).temporary).toBe(temporary);
  });
});

it("finds the API where the page says it is", async () => {
  const meta = document.head.appendChild(document.createElement("meta"));
  Object.assign(meta, { name: "api-prefix", content: "/here/api" });
  const asked = serve(() => ({}));
  await lookAt("a b");
  meta.remove();
  expect(asked[0]?.path).toBe("/here/api/status/a%20b");
  expect(apiPath("/events")).toBe("/api/v1/events");
});

it("learns the server's time from every answer", async () => {
  const date = new Date(Date.now() + 3_600_000).toUTCString();
  vi.stubGlobal("fetch", async () => Response.json({}, { headers: { date } }));
  await lookAt("a");
  expect(now() - Date.now()).toBeGreaterThan(3_590_000);
  learnServerTime(new Date().toUTCString());
});

it("reads the health of a server that fails, and says when there is none", async () => {
  const read = () => failure((health().queryFn as (context: object) => Promise<unknown>)({}));
  const ask = () => (health().queryFn as (context: object) => Promise<unknown>)({});
  serve(() => ({ status: 503, body: { status: "failing", components: {} } }));
  expect(await ask()).toMatchObject({ status: "failing" });
  serve(() => ({ status: 500, body: { detail: "no" } }));
  expect(await read()).toMatchObject({ status: 500 });
  serve(() => null);
  expect(await read()).toMatchObject({ code: "away" });
});

it("never makes the same key twice", () => {
  const keys = Array.from({ length: 500 }, newKey);
  expect(new Set(keys).size).toBe(500);
  expect(keys.every((key) => /^[\w-]{10,}$/.test(key))).toBe(true);
});
