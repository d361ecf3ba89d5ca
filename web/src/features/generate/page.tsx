import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { useJobActions } from "@/entities/job/actions";
import { statusWords } from "@/entities/job/words";
import { atWork, type Job, jobList } from "@/shared/api/jobs";
import { draftJob, drafts, isDraft } from "@/shared/api/outbox";
import { type Command, useCommands } from "@/shared/lib/commands";
import { pictureOf } from "@/shared/lib/picture";
import { useStore } from "@/shared/lib/store";
import { useTitle } from "@/shared/lib/title";
import { Failure, Skeleton } from "@/shared/ui/states";
import { fill } from "./composer";
import { ComposerPanel } from "./composer-panel";
import { Examples } from "./examples";
import { MockLine } from "./mock-line";
import { Stage } from "./stage";
import { Strip } from "./strip";
import { useComposer } from "./use-composer";

const EARLIER = 12; // prompts that are offered again

/** The composer beside the stage, and the day's work below. */
export function GeneratePage() {
  const [wanted, setWanted] = useState<string>();
  const box = useRef<HTMLTextAreaElement>(null);
  const select = (id: string, before?: string) =>
    setWanted((now) => (before === undefined || now === before ? id : now));
  const composer = useComposer(select);
  const list = useInfiniteQuery(jobList());
  const jobs = useJobs(list.data?.pages.flatMap(({ items }) => items));
  const job = jobs.find(({ id }) => id === wanted) ?? jobs[0];
  const waiting = composer.isPending || (list.isPending && jobs.length === 0); // shown together: nothing jumps
  const working = jobs.filter(atWork).length;
  useTitle(working > 0 ? `${working} at work` : "");
  usePageCommands({ jobs, job, box, submit: composer.submit, select });
  usePastedPicture(composer.form.main.find(({ kind }) => kind === "image" || kind === "images")?.name);

  const usualS = composer.models.find(({ id }) => id === job?.model)?.typical_s;
  const pick = (prompt: string, shape: string) => {
    const field = composer.form.main.find(({ kind, choices }) => kind === "shape" && choices.includes(shape));
    fill({ prompt, ...(field && { parameters: { [field.name]: shape } }) }, composer.form);
    box.current?.focus();
  };
  return (
    <div className="lg:grid lg:grid-cols-[400px_1fr]">
      <ComposerPanel {...composer} box={box} earlier={promptsOf(jobs)} onSubmit={composer.submit} />
      <div className="min-w-0 pb-44 lg:pb-0">
        {composer.mockMode && <MockLine connectWith={composer.connectWith} />}
        {waiting && <Skeleton className="m-6 h-[60dvh]" />}
        {list.error && jobs.length === 0 && <Failure error={list.error} onRetry={list.refetch} />}
        {list.data && !waiting && jobs.length === 0 && <Examples onPick={pick} />}
        {job && !waiting && (
          <Stage
            job={job}
            free={composer.mockMode}
            usualMs={usualS ? usualS * 1000 : undefined}
            onRetried={({ id }) => setWanted(id)}
          />
        )}
        {jobs.length > 1 && !waiting && (
          <Strip jobs={jobs} selected={job?.id} onSelect={showOnStage(setWanted)} />
        )}
        <Announcer job={job} />
      </div>
    </div>
  );
}

/** What is on its way, then what the server has. */
function useJobs(listed: Job[] = []): Job[] {
  const waiting = useStore(drafts);
  return useMemo(() => [...waiting.map(draftJob), ...listed], [waiting, listed]);
}

const promptsOf = (jobs: Job[]) => [...new Set(jobs.map(({ prompt }) => prompt))].slice(0, EARLIER);

const showOnStage = (select: (id: string) => void) => (id: string) => {
  select(id);
  scrollTo({ top: 0, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
};

/** Tells a screen reader how the shown job goes. */
function Announcer({ job }: { job: Job | undefined }) {
  return (
    <p role="status" aria-live="polite" className="sr-only">
      {job && `${statusWords(job)}: ${job.prompt.slice(0, 100)}`}
    </p>
  );
}

interface PageCommands {
  jobs: Job[];
  job: Job | undefined;
  box: React.RefObject<HTMLTextAreaElement | null>;
  submit: () => void;
  select: (id: string) => void;
}

function usePageCommands({ jobs, job, box, submit, select }: PageCommands): void {
  const { canceling, retrying } = useJobActions();
  const group = "Generate";
  const step = (by: number) => {
    const next = jobs[jobs.findIndex(({ id }) => id === job?.id) + by];
    if (next) select(next.id);
  };
  const real = job && !isDraft(job) ? job : undefined;
  const forJob: Command[] = [];
  if (real && atWork(real)) {
    forJob.push({
      id: "cancel",
      label: "Cancel this job",
      group,
      keys: "x",
      run: () => canceling.mutate(real),
    });
  }
  if (real && (real.status === "failed" || real.status === "canceled")) {
    const run = () => retrying.mutate(real, { onSuccess: ({ id }) => select(id) });
    forJob.push({ id: "retry", label: "Try this job again", group, keys: "r", run });
  }
  useCommands([
    { id: "submit", label: "Generate", group, keys: "mod+enter", inFields: true, run: submit },
    { id: "prompt", label: "Write a prompt", group, keys: "p", run: () => box.current?.focus() },
    { id: "older", label: "Show the job before", group, keys: "j", keyOnly: true, run: () => step(1) },
    { id: "newer", label: "Show the job after", group, keys: "k", keyOnly: true, run: () => step(-1) },
    ...forJob,
  ]);
}

/** A picture that is pasted anywhere on the page goes into the first field that takes one. */
function usePastedPicture(field: string | undefined): void {
  useEffect(() => {
    if (!field) return;
    const paste = async (event: ClipboardEvent) => {
      if (
        !event.clipboardData ||
        ![...event.clipboardData.files].some(({ type }) => type.startsWith("image/"))
      )
        return;
      event.preventDefault();
      const picture = await pictureOf(event.clipboardData);
      const target = document.querySelector<HTMLInputElement>(
        `[data-image-field="${CSS.escape(field)}"] input[type=file]`,
      );
      if (!picture || !target) return;
      const files = new DataTransfer();
      files.items.add(new File([picture], "pasted", { type: picture.type }));
      target.files = files.files;
      target.dispatchEvent(new Event("change", { bubbles: true }));
    };
    addEventListener("paste", paste);
    return () => removeEventListener("paste", paste);
  }, [field]);
}
