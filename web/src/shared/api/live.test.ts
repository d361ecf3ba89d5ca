import { InfiniteQueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Asked, detailOf, eventOf, jobOf, newClient, serve, workOf } from "@/shared/testing";
import { type JobDetail, jobKeys, jobList } from "./jobs";
import { connection, goLive, onJobEvent } from "./live";

class FakeSource extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  static all: FakeSource[] = [];
  readyState = 0;
  onopen?: () => void;
  onerror?: () => void;

  constructor(readonly url: string) {
    super();
    FakeSource.all.push(this);
  }

  close = () => {
    this.readyState = FakeSource.CLOSED;
  };

  opens() {
    this.readyState = FakeSource.OPEN;
    this.onopen?.();
  }

  fails(readyState = FakeSource.CONNECTING) {
    this.readyState = readyState;
    this.onerror?.();
  }

  tells(type: string, data: object = {}, id = 1, job = "job-1") {
    const event = eventOf(type, data, { id, job_id: job });
    this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(event), lastEventId: String(id) }));
  }
}

let client = newClient();
let stop = () => {};
let asked: Asked[] = [];
let up = true;
const source = () => FakeSource.all.at(-1) as FakeSource;
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const paths = () => asked.splice(0).map(({ path }) => path);
const detail = () => client.getQueryData<JobDetail>(jobKeys.detail("job-1"));

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("EventSource", FakeSource);
  FakeSource.all = [];
  connection.set("connecting");
  client = newClient();
  client.setQueryData(jobKeys.detail("job-1"), detailOf(workOf()));
  up = true;
  asked = serve(({ path }) => {
    if (!up) return null;
    if (path === "/status/gone") return { status: 404, body: { detail: "Job not found" } };
    return { body: path.startsWith("/jobs") ? { items: [], next_cursor: null } : jobOf() };
  });
  stop = goLive(client);
});
afterEach(() => {
  stop();
  vi.useRealTimers();
});

describe("an event", () => {
  it("has the job read again, once for all that come together", async () => {
    source().opens();
    for (const type of ["accepted", "storing", "succeeded"]) source().tells(type);
    expect(detail()?.status).toBe("processing");
    await pass(150);
    expect(paths()).toEqual(["/status/job-1"]);
    expect(detail()?.status).toBe("completed");
  });

  it("of progress is told without asking", async () => {
    source().tells("progress", { progress: 0.25 });
    expect(detail()?.progress).toBe(0.25);
    source().tells("progress", { progress: "half" });
    expect(detail()?.progress).toBeNull();
    await pass(150);
    expect(paths()).toEqual([]);
  });

  it("of a deleted job takes it away, as does an answer that there is none", async () => {
    client.setQueryData(jobKeys.detail("gone"), detailOf({ id: "gone" }));
    source().tells("deleted");
    source().tells("failed", {}, 2, "gone");
    expect(detail()).toBeUndefined();
    await pass(150);
    expect(client.getQueryData(jobKeys.detail("gone"))).toBeUndefined();
  });

  it("is heard by whoever listens, until they stop", () => {
    const heard: string[] = [];
    const quit = onJobEvent(({ type }) => heard.push(type));
    source().tells("created");
    quit();
    source().tells("succeeded");
    expect(heard).toEqual(["created"]);
  });

  describe("while a list is on the screen", () => {
    beforeEach(() => {
      client.setQueryData(jobKeys.list({}), { pages: [{ items: [], next_cursor: null }], pageParams: [""] });
      new InfiniteQueryObserver(client, jobList()).subscribe(() => {});
    });

    it("of a new job has the list's head read", async () => {
      source().tells("created", {}, 1, "a");
      await pass(150);
      expect(paths()).toContain("/jobs?limit=60");
    });

    it("is one of many: then the head is read first", async () => {
      for (let number = 0; number < 9; number += 1) source().tells("succeeded", {}, number, `job-${number}`);
      await pass(150);
      expect(paths()[0]).toBe("/jobs?limit=60");
    });
  });
});

describe("the connection", () => {
  it("is live once events can come", () => {
    expect([connection.get(), source().url]).toEqual(["connecting", "/api/v1/events"]);
    source().opens();
    expect(connection.get()).toBe("live");
  });

  it("is taken up after the last event that was heard", async () => {
    source().opens();
    source().tells("progress", {}, 41);
    source().tells("progress", {}, 42);
    source().fails(FakeSource.CLOSED);
    await pass(2500);
    expect(FakeSource.all.map(({ url }) => url)).toEqual([
      "/api/v1/events",
      "/api/v1/events?last_event_id=42",
    ]);
    source().opens();
    expect(connection.get()).toBe("live");
  });

  it("falls back to asking while the server answers but sends no events", async () => {
    source().opens();
    source().fails();
    await pass(350);
    expect(connection.get()).toBe("polling");
    await pass(150);
    expect(paths()).toEqual(["/health/live", "/status/job-1"]);
    expect(detail()?.status).toBe("completed");
    await pass(2000);
    expect(paths()).toContain("/health/live");
  });

  it("says that the server is away, and reads what was missed when it is back", async () => {
    source().opens();
    up = false;
    source().fails();
    await pass(350);
    expect(connection.get()).toBe("away");
    up = true;
    paths();
    source().opens();
    expect(connection.get()).toBe("live");
    await pass(150);
    expect(paths()).toEqual(["/status/job-1"]);
  });

  it("is not called away for a blink", async () => {
    source().opens();
    source().fails();
    source().opens();
    await pass(1000);
    expect(connection.get()).toBe("live");
    expect(paths()).not.toContain("/health/live");
  });

  it("is given up with the page", async () => {
    source().opens();
    stop();
    expect(source().readyState).toBe(FakeSource.CLOSED);
    await pass(60_000);
    expect(paths()).toEqual([]);
  });
});

it("asks for jobs at work now and then, as not every change is an event", async () => {
  source().opens();
  await pass(10_200);
  expect(paths()).toEqual(["/status/job-1"]);
  await pass(10_200);
  expect(paths()).toEqual([]); // it has ended
});
