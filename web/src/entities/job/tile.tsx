import type { ComponentProps } from "react";
import { atWork, type Job } from "@/shared/api/jobs";
import { cn } from "@/shared/lib/cn";
import { Print } from "./print";
import { Progress } from "./progress";
import { outputCount } from "./shape";
import { statusWords } from "./words";

interface TileProps extends Omit<ComponentProps<"button">, "children"> {
  job: Job;
}

/** A job as a small print. Fills its place; what it says lies over it, only as long as it is needed. */
export function JobTile({ job, className, ...props }: TileProps) {
  const many = outputCount(job);
  const quiet = job.status === "failed" || job.status === "canceled";
  const note = job.status === "failed" ? (job.error_message ?? "Failed") : statusWords(job);
  return (
    <button
      type="button"
      aria-label={quiet ? undefined : `${job.prompt}. ${note}`}
      data-job={job.id}
      data-status={job.status}
      className={cn("group relative block size-full overflow-hidden rounded-s text-left", className)}
      {...props}
    >
      <Print job={job} artifact={job.artifacts[0]} small />
      {quiet && (
        <span className="absolute inset-0 flex flex-col justify-end gap-1 p-3 text-12 text-muted">
          <span dir="auto" className="line-clamp-2">
            {job.prompt}
          </span>
          <span className={cn("line-clamp-3", job.status === "failed" && "text-bad")}>{note}</span>
        </span>
      )}
      {atWork(job) && (
        <span className="absolute inset-x-0 bottom-0 line-clamp-2 p-3 text-12 text-text">{note}</span>
      )}
      {job.status === "completed" && (
        <span className="absolute inset-x-0 bottom-0 line-clamp-2 bg-veil px-3 py-2 text-12 text-veil-ink opacity-0 transition-opacity group-hover:opacity-100 group-focus-visible:opacity-100">
          {job.prompt}
        </span>
      )}
      {many > 1 && (
        <span
          aria-hidden="true"
          className="absolute top-2 right-2 rounded-s bg-veil px-1.5 text-12 text-veil-ink"
        >
          {many}
        </span>
      )}
      <Progress job={job} />
    </button>
  );
}
