import type { QueryClient } from "@tanstack/react-query";
import { apiPath } from "@/shared/api/client";
import { dropJob, type Job, remove } from "@/shared/api/jobs";
import { Problem } from "@/shared/api/problem";
import { count } from "@/shared/lib/format";
import { createStore } from "@/shared/lib/store";
import { toast } from "@/shared/lib/toast";

const UNDO_MS = 6000;

/** Jobs that look deleted and will be, unless somebody changes their mind. Lists leave them out. */
export const leaving = createStore<ReadonlySet<string>>(new Set());

const leave = (ids: string[]) => leaving.set((all) => new Set([...all, ...ids]));
const stay = (ids: string[]) => leaving.set((all) => new Set([...all].filter((id) => !ids.includes(id))));

/** Delete jobs that have ended, in a moment: until then it can be undone. Closing the page deletes them at once. */
export function removeWithUndo(client: QueryClient, jobs: Pick<Job, "id">[]): void {
  const ids = jobs.map(({ id }) => id);
  leave(ids);
  const timer = setTimeout(() => void removeAll(client, ids), UNDO_MS);
  const undo = () => {
    clearTimeout(timer);
    stay(ids);
  };
  toast(`${count(ids.length, "job")} deleted`, { action: { label: "Undo", run: undo }, stayMs: UNDO_MS });
}

async function removeAll(client: QueryClient, ids: string[]): Promise<void> {
  const failed = (await Promise.all(ids.map((id) => removeOne(client, id)))).filter((gone) => !gone);
  stay(ids);
  if (failed.length > 0) toast(`${count(failed.length, "job")} could not be deleted`, { tone: "bad" });
}

async function removeOne(client: QueryClient, id: string): Promise<boolean> {
  try {
    await remove(id);
  } catch (error) {
    if (!(error instanceof Problem && error.status === 404)) return false;
  }
  dropJob(client, id);
  return true;
}

globalThis.addEventListener?.("pagehide", () => {
  for (const id of leaving.get()) void fetch(apiPath(`/jobs/${id}`), { method: "DELETE", keepalive: true });
});
