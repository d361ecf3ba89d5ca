import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import type { ReactNode } from "react";
import { MemoryRouter, useLocation } from "react-router";
import { vi } from "vitest";
import type { Artifact, Job, JobDetail, JobEvent } from "@/shared/api/jobs";
import type { Model } from "@/shared/api/system";
import { TooltipProvider } from "@/shared/ui/tooltip";

const AT = "2026-11-20T12:00:00.000Z";

/** A job that has been made, unless told otherwise. */
export const jobOf = (part: Partial<Job> = {}): Job => ({
  id: "job-1",
  job_id: part.id ?? "job-1",
  status: "completed",
  state: "succeeded",
  message: "done",
  progress: null,
  prompt: "a red fox",
  model: "mock/darkroom",
  provider: "mock",
  parameters: {},
  metadata: {},
  parameters_truncated: false,
  metadata_truncated: false,
  priority: 0,
  webhook_url: null,
  artifacts: [],
  result_url: null,
  media_path: null,
  error: null,
  error_message: null,
  retry_count: 0,
  attempt: 1,
  max_attempts: 4,
  retry_of: null,
  cancel_requested: false,
  timeout_s: null,
  next_try_at: null,
  created_at: AT,
  started_at: AT,
  updated_at: AT,
  completed_at: "2026-11-20T12:00:02.400Z",
  ...part,
});

/** A job that a provider is at, unless told otherwise. */
export const workOf = (part: Partial<Job> = {}): Job =>
  jobOf({
    status: "processing",
    state: "waiting",
    message: "mock is making it",
    completed_at: null,
    ...part,
  });

export const detailOf = (part: Partial<JobDetail> = {}): JobDetail => ({
  ...jobOf(part),
  output: null,
  timeline: [],
  attempts: [],
  ahead: null,
  delivery: null,
  cost: { usd: null, calls: 0 },
  ...part,
});

export const artifactOf = (part: Partial<Artifact> = {}): Artifact => ({
  key: `picture-${part.index ?? 0}.png`,
  index: 0,
  path: `/media/picture-${part.index ?? 0}.png`,
  url: `http://localhost:3000/media/picture-${part.index ?? 0}.png`,
  thumbnail_url: null,
  media_type: "image/png",
  kind: "image",
  size_bytes: 1_200_000,
  sha256: "",
  width: 1024,
  height: 768,
  placeholder: null,
  doubt: null,
  ...part,
});

export const modelOf = (part: Partial<Model> = {}): Model => ({
  id: "mock/darkroom",
  provider: "mock",
  description: "Draws pictures here",
  default: true,
  typical_s: null,
  input_schema: {},
  ...part,
});

export const eventOf = (type: string, data: object = {}, part: Partial<JobEvent> = {}): JobEvent => ({
  id: 1,
  job_id: "job-1",
  type,
  at: AT,
  data: data as JobEvent["data"],
  ...part,
});

export const newClient = () =>
  new QueryClient({ defaultOptions: { queries: { retry: false, staleTime: Number.POSITIVE_INFINITY } } });

/** Render as the app does; `address` is where the page ends up. */
export function show(ui: ReactNode, { path = "/", client = newClient() } = {}) {
  let address = path;
  function Follow() {
    const { pathname, search } = useLocation();
    address = pathname + search;
    return null;
  }
  const around = (inner: ReactNode) => (
    <QueryClientProvider client={client}>
      <TooltipProvider>
        <MemoryRouter initialEntries={[path]}>
          {inner}
          <Follow />
        </MemoryRouter>
      </TooltipProvider>
    </QueryClientProvider>
  );
  const { rerender, ...shown } = render(around(ui));
  const again = (next: ReactNode) => rerender(around(next));
  return { ...shown, again, client, address: () => address };
}

export interface Asked {
  method: string;
  /** Path and query, without the API's prefix. */
  path: string;
  body: unknown;
  headers: Headers;
}

type Answer = { status?: number; body?: unknown };

/** Stand in for the server; return what it was asked. An answer of `null` is no answer. */
export function serve(answer: (asked: Asked) => Answer | null | Promise<Answer | null>): Asked[] {
  const all: Asked[] = [];
  vi.stubGlobal("fetch", async (input: Request | string, init?: RequestInit) => {
    const request =
      typeof input === "string" ? new Request(new URL(input, "http://localhost:3000"), init) : input;
    const { pathname, search } = new URL(request.url);
    const text = await request.text();
    const asked = {
      method: request.method,
      path: pathname.replace("/api/v1", "") + search,
      body: text ? JSON.parse(text) : undefined,
      headers: request.headers,
    };
    all.push(asked);
    const given = await answer(asked);
    if (!given) throw new TypeError("Failed to fetch");
    const { status = 200, body = {} } = given;
    return new Response(status === 204 ? null : JSON.stringify(body), {
      status,
      headers: { "content-type": "application/json" },
    });
  });
  return all;
}
