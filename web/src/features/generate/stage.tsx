import { useQuery } from "@tanstack/react-query";
import { Download, Info } from "lucide-react";
import { Link, useNavigate } from "react-router";
import { JobButtons, JobStatusLine } from "@/entities/job/panel";
import { Sheet } from "@/entities/job/sheet";
import { factWords } from "@/entities/job/words";
import { atWork, type Job, jobDetail } from "@/shared/api/jobs";
import { isDraft } from "@/shared/api/outbox";
import { Button } from "@/shared/ui/button";

interface StageProps {
  job: Job;
  free: boolean;
  usualMs?: number;
  onRetried: (job: Job) => void;
}

const HEIGHT = "clamp(200px, 60dvh, 760px)";
const EMPTY_HEIGHT = "clamp(96px, 20dvh, 200px)"; // of what ended without a picture: the reason matters
const AHEAD_EVERY_MS = 2000;

/** One job, large: its pictures, what happens to it, what can be done. */
export function Stage({ job, free, usualMs, onRetried }: StageProps) {
  const navigate = useNavigate();
  const queued = job.state === "queued" && !isDraft(job) && job.next_try_at === null;
  const { data: detail } = useQuery({
    ...jobDetail(job.id),
    enabled: queued,
    refetchInterval: AHEAD_EVERY_MS,
  });
  const ended = !atWork(job) && job.artifacts.length === 0;
  return (
    <section
      aria-label="Stage"
      className="grid gap-4 px-4 pt-4 sm:px-6 lg:pt-6"
      data-stage={job.id}
      data-status={job.status}
    >
      <div className="grid place-items-center">
        <Sheet
          key={job.id}
          job={job}
          maxHeight={ended ? EMPTY_HEIGHT : HEIGHT}
          onOpen={() => navigate(`/jobs/${job.id}`)}
        />
      </div>
      <div className="grid gap-x-6 gap-y-3 sm:grid-cols-[1fr_auto]">
        <div className="grid min-w-0 content-start gap-1">
          <JobStatusLine job={job} free={free} usualMs={usualMs} ahead={queued ? detail?.ahead : null} />
          <h1 dir="auto" data-said="" className="line-clamp-3 w-fit max-w-prose text-14">
            {job.prompt}
          </h1>
          <p className="font-mono text-12 text-muted">{factWords(job)}</p>
        </div>
        {!isDraft(job) && (
          <div className="flex flex-wrap content-start items-start gap-2 sm:justify-end">
            <JobButtons job={job} onRetried={onRetried} />
            {job.artifacts[0] && (
              <Button asChild size="icon">
                <a
                  href={`${job.artifacts[0].path}?download=true`}
                  aria-label="Download the first file"
                  title="Download"
                >
                  <Download />
                </a>
              </Button>
            )}
            <Button asChild size="icon">
              <Link to={`/jobs/${job.id}`} aria-label="All about this job" title="Details">
                <Info />
              </Link>
            </Button>
          </div>
        )}
      </div>
    </section>
  );
}
