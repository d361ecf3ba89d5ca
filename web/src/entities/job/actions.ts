import { useMutation, useQueryClient } from "@tanstack/react-query";
import { addJob, cancel, type Job, jobKeys, mergeJob, retry } from "@/shared/api/jobs";
import { toast } from "@/shared/lib/toast";
import { removeWithUndo } from "./remove";

const complain = (error: Error) => toast(error.message, { tone: "bad" });

/** What can be done to a job; each says so when it fails. */
export function useJobActions() {
  const client = useQueryClient();
  const canceling = useMutation({
    mutationFn: (job: Job) => cancel(job.id),
    onSuccess: (job) => {
      mergeJob(client, job);
      return client.invalidateQueries({ queryKey: jobKeys.detail(job.id) });
    },
    onError: complain,
  });
  const retrying = useMutation({
    mutationFn: (job: Job) => retry(job.id),
    onSuccess: (job) => {
      addJob(client, job);
      return client.invalidateQueries({ queryKey: jobKeys.lists });
    },
    onError: complain,
  });
  const removeJob = (job: Job) => removeWithUndo(client, [job]);
  return { canceling, retrying, removeJob };
}

const AGAIN = ["prompt", "model", "parameters"] as const;

/** The address of the composer, filled with this request: to edit it and run it again, or to share it. */
export function composeLink(
  request: Partial<Pick<Job, (typeof AGAIN)[number] | "parameters_truncated">>,
): string {
  const query = new URLSearchParams();
  if (request.prompt) query.set("prompt", request.prompt);
  if (request.model) query.set("model", request.model);
  const isCut = (value: unknown) =>
    request.parameters_truncated && typeof value === "string" && value.endsWith("…");
  const parameters = Object.entries(request.parameters ?? {}).filter(([, value]) => !isCut(value));
  if (parameters.length > 0) query.set("parameters", JSON.stringify(Object.fromEntries(parameters)));
  return `/?${query}`;
}
