import { atWork, type Job } from "@/shared/api/jobs";

/** A thin line of safelight at the foot of what is being made. */
export function Progress({ job }: { job: Job }) {
  if (!atWork(job) || job.progress === null) return null;
  const percent = Math.round(job.progress * 100);
  return (
    <div
      role="progressbar"
      aria-label="Progress"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      className="absolute inset-x-0 bottom-0 h-0.5 overflow-hidden"
    >
      <div
        className="h-full origin-left bg-accent transition-transform duration-200 ease-out"
        style={{ transform: `scaleX(${job.progress})` }}
      />
    </div>
  );
}
