import type { QueryClient } from "@tanstack/react-query";
import { createStore } from "@/shared/lib/store";
import { apiPath } from "./client";
import {
  dropJob,
  idsAtWork,
  type JobEvent,
  jobKeys,
  lookAt,
  mergeJob,
  mergeProgress,
  refreshHeads,
} from "./jobs";
import { Problem } from "./problem";

/** live: events come. polling: the server answers, but no events come. away: it does not answer. */
export type Connection = "connecting" | "live" | "polling" | "away";

/** How things stand with the server. */
export const connection = createStore<Connection>("connecting");

const TYPES = [
  "created",
  "submitted",
  "accepted",
  "progress",
  "retrying",
  "reconciling",
  "storing",
  "cancel_requested",
  "succeeded",
  "failed",
  "canceled",
  "deleted",
];
const TOGETHER_MS = 100; // news of the same jobs that are asked for once
const BURST = 8; // jobs to ask for one by one; with more, the heads of the lists are read again first
const AGAIN_MS = 2000; // between attempts to reach the server
const LONG = 3; // pages
const QUIET_MS = 10_000; // after which jobs at work are asked for

type Hear = (event: JobEvent) => void;
const listeners = new Set<Hear>();

/** Hear every event of every job as it comes; return how to stop. */
export function onJobEvent(hear: Hear): () => void {
  listeners.add(hear);
  return () => listeners.delete(hear);
}

/** Follow the server's events for as long as the page lives and keep the cache true; return how to stop. */
export function goLive(client: QueryClient): () => void {
  const stale = new Set<string>();
  let source: EventSource | undefined;
  let last = "";
  let again: ReturnType<typeof setTimeout> | undefined;
  let asking: ReturnType<typeof setTimeout> | undefined;
  let news = false; // whether jobs were made that no list has yet

  async function look(id: string): Promise<void> {
    try {
      mergeJob(client, await lookAt(id));
      await client.invalidateQueries({ queryKey: jobKeys.detail(id) });
    } catch (error) {
      if (error instanceof Problem && error.status === 404) dropJob(client, id);
    }
  }

  async function catchUp(): Promise<void> {
    const ids = [...stale];
    stale.clear();
    const heads = news || ids.length > BURST;
    news = false;
    try {
      const seen = heads ? await refreshHeads(client) : new Set<string>();
      for (const id of seen) void client.invalidateQueries({ queryKey: jobKeys.detail(id) });
      await Promise.all(ids.filter((id) => !seen.has(id)).map(look));
    } catch {
      // the server is away: what was missed is read when it is back
    }
    asking = undefined;
    if (stale.size > 0) asking = setTimeout(catchUp, TOGETHER_MS);
  }

  function ask(ids: string[], isNew = false): void {
    for (const id of ids) stale.add(id);
    news ||= isNew;
    asking ??= setTimeout(catchUp, TOGETHER_MS);
  }

  /** Read again what may have changed while nothing was heard. Long lists would take long: their heads do. */
  function catchUpAll(): void {
    const long = ({ state }: { state: { data?: unknown } }) =>
      ((state.data as { pages?: unknown[] } | undefined)?.pages?.length ?? 0) > LONG;
    void client.invalidateQueries({ predicate: (query) => !long(query) });
    ask(idsAtWork(client), true);
  }

  function hear(event: JobEvent): void {
    for (const listener of [...listeners]) listener(event);
    if (event.type === "deleted") dropJob(client, event.job_id);
    else if (event.type === "progress") mergeProgress(client, event.job_id, progressOf(event));
    else ask([event.job_id], event.type === "created");
  }

  async function check(): Promise<void> {
    const answered = await fetch(apiPath("/health/live")).then(
      ({ ok }) => ok,
      () => false,
    );
    if (source?.readyState === EventSource.OPEN) return;
    connection.set(answered ? "polling" : "away");
    if (answered) catchUpAll();
    again = setTimeout(source?.readyState === EventSource.CLOSED ? open : check, AGAIN_MS);
  }

  function open(): void {
    source = new EventSource(apiPath(last ? `/events?last_event_id=${last}` : "/events"));
    source.onopen = () => {
      const missed = connection.get() !== "connecting";
      clearTimeout(again);
      connection.set("live");
      if (missed) catchUpAll();
    };
    source.onerror = () => {
      clearTimeout(again);
      again = setTimeout(check, connection.get() === "live" ? 300 : AGAIN_MS);
    };
    source.addEventListener("reset", (message: MessageEvent<string>) => {
      last = message.lastEventId; // the database was put back: what is shown may not be there any more
      void client.resetQueries();
    });
    for (const type of TYPES) {
      source.addEventListener(type, (message: MessageEvent<string>) => {
        last = message.lastEventId;
        hear(JSON.parse(message.data) as JobEvent);
      });
    }
  }

  open();
  const quiet = setInterval(() => {
    // not every change is an event, as a new reason to wait
    if (!document.hidden && connection.get() !== "away") ask(idsAtWork(client));
  }, QUIET_MS);
  return () => {
    source?.close();
    clearTimeout(again);
    clearTimeout(asking);
    clearInterval(quiet);
  };
}

function progressOf(event: JobEvent): number | null {
  const { progress } = event.data as { progress?: unknown };
  return typeof progress === "number" ? progress : null;
}
