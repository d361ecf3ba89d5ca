import type { Job } from "@/shared/api/jobs";

/** One picture of one job; a job without any is one empty frame. */
export interface Frame {
  id: string;
  number: number;
}

const framesOf = (job: Job): Frame[] =>
  Array.from({ length: Math.max(1, job.artifacts.length) }, (_, number) => ({ id: job.id, number }));

/** The frames before and after one, over the borders of jobs. */
export function around(jobs: Job[], { id, number }: Frame): { before?: Frame; after?: Frame } {
  const index = jobs.findIndex((job) => job.id === id);
  const near = jobs.slice(Math.max(0, index - 1), index + 2).flatMap(framesOf);
  const at = near.findIndex((frame) => frame.id === id && frame.number === number);
  return index < 0 || at < 0 ? {} : { before: near[at - 1], after: near[at + 1] };
}
