import {
  type InfiniteData,
  infiniteQueryOptions,
  type QueryClient,
  queryOptions,
} from "@tanstack/react-query";
import { api, data } from "./client";
import type { Schemas } from "./problem";
import type { operations } from "./schema.gen";

export type Job = Schemas["JobOut"];
export type JobDetail = Schemas["JobDetailOut"];
export type JobPage = Schemas["JobPageOut"];
export type Artifact = Schemas["ArtifactOut"];
export type JobEvent = Schemas["EventOut"];
export type Attempt = Schemas["AttemptOut"];
export type Delivery = Schemas["DeliveryOut"];
export type JobStatus = Job["status"];
export type JobRequest =
  operations["generate_api_v1_generate_post"]["requestBody"]["content"]["application/json"];

export interface JobFilters {
  status?: JobStatus;
  model?: string;
  q?: string;
  created_after?: string;
  created_before?: string;
}

export const jobKeys = {
  all: ["jobs"] as const,
  lists: ["jobs", "list"] as const,
  list: (filters: JobFilters) => ["jobs", "list", filters] as const,
  details: ["jobs", "detail"] as const,
  detail: (id: string) => ["jobs", "detail", id] as const,
};

const PAGE = 60; // jobs

const readPage = (filters: JobFilters, cursor?: string, signal?: AbortSignal): Promise<JobPage> =>
  data(
    api.GET("/api/v1/jobs", {
      params: { query: { ...filters, limit: PAGE, ...(cursor && { cursor }) } },
      signal,
    }),
  );

/** Jobs, newest first, page by page. */
export const jobList = (filters: JobFilters = {}) =>
  infiniteQueryOptions({
    queryKey: jobKeys.list(filters),
    queryFn: ({ pageParam, signal }) => readPage(filters, pageParam, signal),
    initialPageParam: "",
    getNextPageParam: (page: JobPage) => page.next_cursor ?? undefined,
  });

/** A job with its timeline, attempts and cost. */
export const jobDetail = (id: string) =>
  queryOptions({
    queryKey: jobKeys.detail(id),
    queryFn: ({ signal }) =>
      data(api.GET("/api/v1/jobs/{job_id}", { params: { path: { job_id: id } }, signal })),
  });

export const lookAt = (id: string) =>
  data(api.GET("/api/v1/status/{job_id}", { params: { path: { job_id: id } } }));

const actions = {
  cancel: (id: string) =>
    data(api.POST("/api/v1/jobs/{job_id}/cancel", { params: { path: { job_id: id } } })),
  retry: (id: string) => data(api.POST("/api/v1/jobs/{job_id}/retry", { params: { path: { job_id: id } } })),
  remove: (id: string) => data(api.DELETE("/api/v1/jobs/{job_id}", { params: { path: { job_id: id } } })),
};
export const { cancel, retry, remove } = actions;

/** Submit a job. The key makes it safe to send it again: it is made, and paid, once. */
export const submit = (request: JobRequest, key: string): Promise<Job> =>
  data(api.POST("/api/v1/generate", { body: request, headers: { "Idempotency-Key": key } }));

export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");

export const atWork = (job: Pick<Job, "status">) => job.status === "pending" || job.status === "processing";

// ---------------------------------------------------------------------- what is cached

type Pages = InfiniteData<JobPage, string>;

function mapJobs(client: QueryClient, id: string, change: (job: Job) => Job): void {
  client.setQueriesData<Pages>({ queryKey: jobKeys.lists }, (list) => {
    if (!list?.pages.some(({ items }) => items.some((job) => job.id === id))) return list;
    const pages = list.pages.map((page) => ({
      ...page,
      items: page.items.map((job) => (job.id === id ? change(job) : job)),
    }));
    return { ...list, pages };
  });
  client.setQueryData<JobDetail>(jobKeys.detail(id), (detail) => detail && { ...detail, ...change(detail) });
}

/** Put what is newly known of a job wherever it is shown. Older news change nothing. */
export const mergeJob = (client: QueryClient, fresh: Job) =>
  mapJobs(client, fresh.id, (job) => (fresh.updated_at < job.updated_at ? job : { ...job, ...fresh }));

export const mergeProgress = (client: QueryClient, id: string, progress: number | null) =>
  mapJobs(client, id, (job) => (atWork(job) ? { ...job, progress } : job));

/** Read the heads of the lists on the screen again, however long they are; return the ids of the jobs in them. */
export async function refreshHeads(client: QueryClient): Promise<Set<string>> {
  const seen = new Set<string>();
  const lists = client.getQueryCache().findAll({ queryKey: jobKeys.lists, type: "active" });
  for (const { queryKey } of lists) {
    const head = await readPage((queryKey[2] ?? {}) as JobFilters);
    for (const { id } of head.items) seen.add(id);
    client.setQueryData<Pages>(queryKey, (list) => list && withHead(list, head));
  }
  for (const { queryKey } of client.getQueryCache().findAll({ queryKey: jobKeys.lists, type: "inactive" })) {
    void client.invalidateQueries({ queryKey, exact: true });
  }
  return seen;
}

function withHead(list: Pages, head: JobPage): Pages {
  const fresh = new Map(head.items.map((job) => [job.id, job]));
  const known = new Set(list.pages.flatMap(({ items }) => items.map(({ id }) => id)));
  const news = head.items.filter(({ id }) => !known.has(id));
  if (news.length === head.items.length) return { pages: [head], pageParams: [""] }; // a gap may lie between
  const pages = list.pages.map((page) => ({
    ...page,
    items: page.items.map((job) => fresh.get(job.id) ?? job),
  }));
  const [first, ...rest] = pages;
  return first ? { ...list, pages: [{ ...first, items: [...news, ...first.items] }, ...rest] } : list;
}

/** The ids of all jobs at work that are shown anywhere. */
export function idsAtWork(client: QueryClient): string[] {
  const lists = client.getQueriesData<Pages>({ queryKey: jobKeys.lists });
  const listed = lists.flatMap(([, list]) => list?.pages.flatMap(({ items }) => items) ?? []);
  const details = client.getQueriesData<JobDetail>({ queryKey: jobKeys.details });
  const jobs = [...listed, ...details.flatMap(([, detail]) => detail ?? [])];
  return [...new Set(jobs.filter(atWork).map(({ id }) => id))];
}

/** Put a new job at the head of the unfiltered list, at once. */
export function addJob(client: QueryClient, job: Job): void {
  client.setQueryData<Pages>(jobKeys.list({}), (list) => {
    const first = list?.pages[0];
    if (!list || !first || list.pages.some(({ items }) => items.some(({ id }) => id === job.id))) return list;
    return { ...list, pages: [{ ...first, items: [job, ...first.items] }, ...list.pages.slice(1)] };
  });
}

/** Take a deleted job out of whatever shows it. */
export function dropJob(client: QueryClient, id: string): void {
  client.setQueriesData<Pages>({ queryKey: jobKeys.lists }, (list) => {
    if (!list) return list;
    const pages = list.pages.map((page) => ({ ...page, items: page.items.filter((job) => job.id !== id) }));
    return { ...list, pages };
  });
  client.removeQueries({ queryKey: jobKeys.detail(id) });
}
