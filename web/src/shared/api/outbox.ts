import type { QueryClient } from "@tanstack/react-query";
import { createStoredStore } from "@/shared/lib/storage";
import { addJob, type Job, type JobRequest, jobKeys, newKey, submit } from "./jobs";
import { connection } from "./live";
import { Problem } from "./problem";

/** A request on its way to the server. It outlives a reload, and its key lets it be sent again and again. */
export interface Draft {
  key: string;
  request: JobRequest;
  at: string;
  /** Whether the server did not take it at first. */
  waiting: boolean;
}

/** What is on its way, the newest first. */
export const drafts = createStoredStore<Draft[]>("outbox", []);

/** Ids of jobs that this browser asked for, the newest first: their ends are worth a word. */
export const mine = createStoredStore<string[]>("mine", []);

const AGAIN_MS = 2000;
const REMEMBERED = 200;
const sending = new Set<string>();

/** Send a request for as long as it takes. Throws `Problem` when the server refuses it. */
export async function send(client: QueryClient, request: JobRequest, key = newKey()): Promise<Job> {
  const at = new Date().toISOString();
  drafts.set((all) => [{ key, request, at, waiting: false }, ...all]);
  return post(client, key, request);
}

/** Send what an earlier visit left; `refused` hears what the server does not take. */
export function resume(client: QueryClient, refused: (error: Error) => void): void {
  for (const { key, request } of drafts.get()) {
    if (!sending.has(key)) post(client, key, request).catch(refused);
  }
}

async function post(client: QueryClient, key: string, request: JobRequest): Promise<Job> {
  sending.add(key);
  try {
    const job = await untilTaken(key, request);
    mine.set((ids) => [job.id, ...ids].slice(0, REMEMBERED));
    addJob(client, job);
    void client.invalidateQueries({ queryKey: jobKeys.lists });
    return job;
  } finally {
    sending.delete(key);
    drafts.set((all) => all.filter((draft) => draft.key !== key));
  }
}

async function untilTaken(key: string, request: JobRequest): Promise<Job> {
  for (;;) {
    try {
      return await submit(request, key);
    } catch (error) {
      if (!(error instanceof Problem) || !error.temporary) throw error;
      drafts.set((all) => all.map((draft) => (draft.key === key ? { ...draft, waiting: true } : draft)));
      await soon();
    }
  }
}

/** Wait a little, or until the server is back. */
function soon(): Promise<void> {
  return new Promise((done) => {
    const stop = connection.subscribe(() => {
      if (connection.get() === "live") finish();
    });
    const timer = setTimeout(finish, AGAIN_MS);
    function finish() {
      stop();
      clearTimeout(timer);
      done();
    }
  });
}

/** The draft as the job that it is going to be. */
export function draftJob({ key, request, at, waiting }: Draft): Job {
  return {
    id: draftId(key),
    job_id: draftId(key),
    status: "pending",
    state: "queued",
    message: waiting ? "The server is away; it is sent once it is back" : "Sending",
    progress: null,
    prompt: request.prompt,
    model: request.model ?? "",
    provider: "",
    parameters: (request.parameters ?? {}) as Job["parameters"],
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
    attempt: 0,
    max_attempts: 1,
    retry_of: null,
    cancel_requested: false,
    timeout_s: null,
    next_try_at: null,
    created_at: at,
    started_at: null,
    updated_at: at,
    completed_at: null,
  };
}

const DRAFT = "draft:";
export const draftId = (key: string) => DRAFT + key;
export const isDraft = (job: Pick<Job, "id">) => job.id.startsWith(DRAFT);
