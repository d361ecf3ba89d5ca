import { RotateCcw, SquarePen, Trash2, X } from "lucide-react";
import { Link } from "react-router";
import { atWork, type Job, type JobDetail } from "@/shared/api/jobs";
import { useNow } from "@/shared/lib/clock";
import { cn } from "@/shared/lib/cn";
import { ago, exact, span } from "@/shared/lib/format";
import { Button } from "@/shared/ui/button";
import { CopyButton } from "@/shared/ui/copy-button";
import { composeLink, useJobActions } from "./actions";
import { AsCode, Calls, costWords, Facts, Files, Output, ParameterValue, Section } from "./panel-parts";
import { Timeline } from "./timeline";
import { deliveryWords, failureWords, statusWords, timeWords, took } from "./words";

interface JobPanelProps {
  job: JobDetail;
  /** Whether only the mock is there, so that nothing costs anything. */
  free: boolean;
  usualMs?: number | null;
  onRetried?: (job: Job) => void;
  onDeleted?: () => void;
}

/** All about a job, in one column: for its own page, and beside its picture anywhere. */
export function JobPanel({ job, free, usualMs, onRetried, onDeleted }: JobPanelProps) {
  const parameters = Object.entries(job.parameters);
  return (
    <div>
      <JobStatusLine job={job} free={free} usualMs={usualMs} ahead={job.ahead} />
      <div className="flex flex-wrap gap-2 pt-3 pb-5">
        <JobButtons job={job} onRetried={onRetried} onDeleted={onDeleted} />
      </div>
      <Section title="Prompt" side={<CopyButton text={job.prompt} what="Prompt" />}>
        <p dir="auto" className="whitespace-pre-wrap text-14">
          {job.prompt}
        </p>
      </Section>
      {parameters.length > 0 && (
        <Section title="Parameters">
          <Facts
            facts={parameters.map(([name, value]) => [name, <ParameterValue key={name} value={value} />])}
          />
        </Section>
      )}
      <Section title="Timeline">
        <Timeline job={job} />
      </Section>
      {job.artifacts.length > 0 && (
        <Section title="Files">
          <Files artifacts={job.artifacts} />
        </Section>
      )}
      {job.output != null && <Output output={job.output} />}
      {job.attempts.length > 0 && (
        <Section title="Calls at the provider">
          <Calls attempts={job.attempts} />
        </Section>
      )}
      <Section title="About">
        <About job={job} free={free} />
      </Section>
      <AsCode job={job} />
    </div>
  );
}

function About({ job, free }: { job: JobDetail; free: boolean }) {
  const time = (at: string | null) => at && <time dateTime={at}>{exact(at)}</time>;
  const id = (
    <span className="flex items-center gap-1 font-mono text-12">
      {job.id}
      <CopyButton text={job.id} what="Id" />
    </span>
  );
  const original = (
    <Link className="underline underline-offset-2" to={`/jobs/${job.retry_of}`}>
      an earlier job
    </Link>
  );
  return (
    <Facts
      facts={[
        ["Model", job.model],
        ["Provider", job.provider],
        ["Cost", costWords(job, free)],
        ["Submitted", time(job.created_at)],
        job.started_at !== null && ["Started", time(job.started_at)],
        job.completed_at !== null && ["Ended", time(job.completed_at)],
        job.completed_at !== null && ["Took", span(took(job))],
        job.retry_of !== null && ["Repeats", original],
        job.delivery !== null && ["Webhook", deliveryWords(job.delivery)],
        ["Id", id],
      ]}
    />
  );
}

/** What happens now, in words, and how long that takes. */
export function JobStatusLine({
  job,
  free,
  usualMs,
  ahead,
}: {
  job: Job;
  free: boolean;
  usualMs?: number | null;
  ahead?: number | null;
}) {
  const at = useNow(atWork(job));
  const waits = ahead ? `${ahead.toLocaleString("en-US")} before it` : "";
  return (
    <div className="text-13">
      <p>
        <span
          data-status-words=""
          className={cn("font-medium", job.status === "failed" && "text-bad", atWork(job) && "text-lit")}
        >
          {statusWords(job)}
        </span>
        <span data-time-words="" className="pl-2 text-muted">
          {atWork(job) ? (
            [waits, timeWords(job, at, usualMs)].filter(Boolean).join(", ")
          ) : (
            <time dateTime={job.completed_at ?? undefined} title={exact(job.completed_at ?? job.updated_at)}>
              {ago(job.completed_at ?? job.updated_at)}
            </time>
          )}
        </span>
      </p>
      {job.status === "failed" && <p className="max-w-prose pt-1 text-14">{failureWords(job, free)}</p>}
    </div>
  );
}

/** Cancel, try again, edit, delete: what the job's status allows. */
export function JobButtons({
  job,
  onRetried,
  onDeleted,
}: Pick<JobPanelProps, "onRetried" | "onDeleted"> & { job: Job }) {
  const { canceling, retrying, removeJob } = useJobActions();
  const retryable = job.status === "failed" || job.status === "canceled";
  return (
    <>
      {atWork(job) && (
        <Button
          aria-disabled={job.cancel_requested || canceling.isPending}
          onClick={() => !job.cancel_requested && canceling.mutate(job)}
        >
          <X />
          {job.cancel_requested ? "Canceling" : "Cancel"}
        </Button>
      )}
      {retryable && (
        <Button
          aria-disabled={retrying.isPending}
          onClick={() => !retrying.isPending && retrying.mutate(job, { onSuccess: onRetried })}
        >
          <RotateCcw />
          Try again
        </Button>
      )}
      <Button asChild>
        <Link to={composeLink(job)}>
          <SquarePen />
          {retryable ? "Edit and run again" : "Use again"}
        </Link>
      </Button>
      {onDeleted && !atWork(job) && (
        <Button
          look="danger"
          onClick={() => {
            removeJob(job);
            onDeleted();
          }}
        >
          <Trash2 />
          Delete
        </Button>
      )}
    </>
  );
}
