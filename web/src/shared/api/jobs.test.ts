import { type InfiniteData, InfiniteQueryObserver, type QueryClient } from "@tanstack/react-query";
import { beforeEach, describe, expect, it } from "vitest";
import { detailOf, jobOf, newClient, serve, workOf } from "@/shared/testing";
import {
  addJob,
  dropJob,
  idsAtWork,
  type JobDetail,
  type JobFilters,
  type JobPage,
  jobKeys,
  jobList,
  mergeJob,
  mergeProgress,
  refreshHeads,
} from "./jobs";

let client: QueryClient;
const OLDER = "2026-11-20T11:00:00.000Z";
const NEWER = "2026-11-20T13:00:00.000Z";

function keep(ids: string[][], filters: JobFilters = {}): void {
  const pages = ids.map((page) => ({ items: page.map((id) => workOf({ id })), next_cursor: "more" }));
  client.setQueryData(jobKeys.list(filters), { pages, pageParams: pages.map(() => "") });
}

const pagesOf = (filters: JobFilters = {}) =>
  client.getQueryData<InfiniteData<JobPage>>(jobKeys.list(filters))?.pages.map(({ items }) => items) ?? [];
const idsOf = (filters?: JobFilters) => pagesOf(filters).map((items) => items.map(({ id }) => id).join(""));
const detail = (id: string) => client.getQueryData<JobDetail>(jobKeys.detail(id));

/** Look at a list as a page on the screen does. */
const watch = (filters: JobFilters = {}) =>
  new InfiniteQueryObserver(client, { ...jobList(filters), staleTime: Number.POSITIVE_INFINITY }).subscribe(
    () => {},
  );

beforeEach(() => {
  client = newClient();
});

describe("news of a job", () => {
  it("reach every list and its page", () => {
    keep([["a"], ["b"]]);
    keep([["b"]], { q: "fox" });
    client.setQueryData(jobKeys.detail("b"), detailOf({ id: "b", ahead: 3 }));
    mergeJob(client, jobOf({ id: "b", status: "failed" }));
    expect([pagesOf()[1]?.[0]?.status, pagesOf({ q: "fox" })[0]?.[0]?.status]).toEqual(["failed", "failed"]);
    expect(detail("b")).toMatchObject({ status: "failed", ahead: 3 });
    expect(pagesOf()[0]?.[0]?.status).toBe("processing");
  });

  it("change nothing when they are older than what is known", () => {
    client.setQueryData(jobKeys.detail("a"), detailOf({ id: "a", updated_at: NEWER }));
    mergeJob(client, workOf({ id: "a", updated_at: OLDER }));
    expect(detail("a")?.status).toBe("completed");
  });

  it("tell progress of what is at work only", () => {
    keep([["a"]]);
    client.setQueryData(jobKeys.detail("b"), detailOf({ id: "b" }));
    mergeProgress(client, "a", 0.4);
    mergeProgress(client, "b", 0.4);
    expect(pagesOf()[0]?.[0]?.progress).toBe(0.4);
    expect(detail("b")?.progress).toBeNull();
  });
});

describe("lists", () => {
  it("get a new job at their head, once, and only where nothing is filtered", () => {
    keep([["a"], ["b"]]);
    keep([["a"]], { q: "fox" });
    addJob(client, jobOf({ id: "c" }));
    addJob(client, jobOf({ id: "b" }));
    expect([idsOf(), idsOf({ q: "fox" })]).toEqual([["ca", "b"], ["a"]]);
  });

  it("lose a deleted job everywhere", () => {
    keep([["a"], ["b", "a"]]);
    client.setQueryData(jobKeys.detail("a"), detailOf({ id: "a" }));
    dropJob(client, "a");
    expect(idsOf()).toEqual(["", "b"]);
    expect(detail("a")).toBeUndefined();
  });

  it("tell what is at work, once each", () => {
    keep([["a", "b"]]);
    keep([["a"]], { q: "fox" });
    client.setQueryData(jobKeys.detail("c"), detailOf({ id: "c" }));
    client.setQueryData(jobKeys.detail("d"), detailOf({ ...workOf({ id: "d" }) }));
    expect(idsAtWork(client).sort()).toEqual(["a", "b", "d"]);
  });

  it("are read with their filters, sixty at a time", async () => {
    const asked = serve(() => ({ body: { items: [], next_cursor: null } }));
    await client.fetchInfiniteQuery(jobList({ q: "a & b", status: "failed" }));
    expect(asked[0]?.path).toBe("/jobs?q=a%20%26%20b&status=failed&limit=60");
  });
});

describe("reading the heads again", () => {
  const answer = (...ids: string[]) =>
    serve(() => ({ body: { items: ids.map((id) => jobOf({ id })), next_cursor: "fresh" } }));

  it("puts new jobs first, and renews those that are known", async () => {
    keep([["b", "c"], ["d"]]);
    watch();
    answer("a", "b", "c");
    expect([...(await refreshHeads(client))]).toEqual(["a", "b", "c"]);
    expect(idsOf()).toEqual(["abc", "d"]);
    expect(pagesOf().map((items) => items.map(({ status }) => status))).toEqual([
      ["completed", "completed", "completed"],
      ["processing"],
    ]);
  });

  it("begins anew when none of them is known, as others may lie between", async () => {
    keep([["x"], ["y"]]);
    watch();
    answer("a", "b");
    await refreshHeads(client);
    expect(idsOf()).toEqual(["ab"]);
  });

  it("reads only what is on the screen; the rest is read when it is shown", async () => {
    keep([["a"]]);
    keep([["a"]], { q: "fox" });
    watch({ q: "fox" });
    const asked = answer("a");
    await refreshHeads(client);
    expect(asked.map(({ path }) => path)).toEqual(["/jobs?q=fox&limit=60"]);
    expect(client.getQueryState(jobKeys.list({}))?.isInvalidated).toBe(true);
  });
});
