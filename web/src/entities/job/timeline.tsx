import type { JobDetail, JobEvent } from "@/shared/api/jobs";
import { cn } from "@/shared/lib/cn";
import { clockTime, count, exact, sentence, span } from "@/shared/lib/format";

const LEAST_SHOWN_MS = 100; // shorter gaps between facts are noise

/** What happened to the job, with exact times and the reason of each wait. */
export function Timeline({ job }: { job: JobDetail }) {
  const facts = foldProgress(job.timeline);
  return (
    <ol className="grid">
      {facts.map((event, index) => {
        const before = facts[index - 1];
        const gapMs = before ? Date.parse(event.at) - Date.parse(before.at) : 0;
        return <Fact key={event.id} event={event} gapMs={gapMs} last={index === facts.length - 1} />;
      })}
    </ol>
  );
}

function Fact({ event, gapMs, last }: { event: JobEvent; gapMs: number; last: boolean }) {
  const { title, detail } = eventWords(event);
  return (
    <li className="grid grid-cols-[8px_1fr_auto] gap-x-3">
      <div aria-hidden="true" className="flex flex-col items-center">
        <span className={cn("mt-1.5 size-2 rounded-full", DOTS[event.type] ?? "bg-edge")} />
        {!last && <span className="-mb-1.5 w-px flex-1 bg-line" />}
      </div>
      <div className="min-w-0 pb-3">
        <p className="text-13">{title}</p>
        {detail && <p className="text-12 text-muted">{detail}</p>}
      </div>
      <div className="text-right text-12 text-muted leading-5">
        <time dateTime={event.at} title={exact(event.at)}>
          {clockTime(event.at)}
        </time>
        {gapMs >= LEAST_SHOWN_MS && <p>+{span(gapMs)}</p>}
      </div>
    </li>
  );
}

const DOTS: Record<string, string> = {
  retrying: "bg-warn",
  reconciling: "bg-warn",
  failed: "bg-bad",
  succeeded: "bg-ok",
};

interface Facts {
  provider?: string;
  call?: number;
  reason?: string;
  detail?: string;
  attempt?: number;
  retry_at?: string;
  outputs?: number;
  message?: string;
  progress?: number;
}

/** An event in words. */
export function eventWords(event: JobEvent): { title: string; detail?: string } {
  const facts = event.data as Facts;
  const provider = sentence(facts.provider ?? "the provider");
  switch (event.type) {
    case "created":
      return { title: "Accepted, on disk" };
    case "submitted":
      return {
        title: `Sent to ${provider}`,
        detail: facts.call && facts.call > 1 ? `Call ${facts.call}` : undefined,
      };
    case "accepted":
      return { title: `${provider} took it` };
    case "progress":
      return {
        title: "Making it",
        detail: facts.progress ? `${Math.round(facts.progress * 100)} %` : undefined,
      };
    case "retrying":
      return { title: "Trying again", detail: retryWords(event, facts) };
    case "reconciling":
      return { title: "The answer was lost; asking whether it was taken", detail: facts.reason };
    case "storing":
      return {
        title: "Made; keeping the output",
        detail: facts.outputs ? count(facts.outputs, "file") : undefined,
      };
    case "cancel_requested":
      return { title: "Cancel asked for" };
    case "succeeded":
      return { title: "Saved", detail: facts.outputs ? count(facts.outputs, "file") : undefined };
    case "failed":
      return { title: "Failed", detail: facts.message };
    case "canceled":
      return { title: "Canceled" };
    default:
      return { title: sentence(event.type.replaceAll("_", " ")) };
  }
}

function retryWords(event: JobEvent, { reason, detail, retry_at: at }: Facts): string {
  const waitMs = at ? Date.parse(at) - Date.parse(event.at) : 0;
  const wait = waitMs > 0 ? `in ${span(waitMs)}` : "";
  return [reason && sentence(reason), detail, wait].filter(Boolean).join("; ");
}

/** Of several steps of progress in a row the last one tells all. */
function foldProgress(events: JobEvent[]): JobEvent[] {
  return events.filter((event, index) => event.type !== "progress" || events[index + 1]?.type !== "progress");
}
