import type { ReactNode } from "react";
import type { System } from "@/shared/api/system";
import { CopyButton } from "@/shared/ui/copy-button";
import { type Step, stepsOf } from "./growth";

/** Why it is built so, and what changes when it grows. */
export function Design({ system }: { system: System }) {
  return (
    <div className="grid gap-x-10 gap-y-12 lg:grid-cols-2">
      <section aria-labelledby="lives">
        <h2 id="lives" className="pb-3 font-semibold text-20">
          How a job lives
        </h2>
        <Story title="Accepted means kept">
          A prompt becomes a row in the database before you get its id. The database is the queue; the bell
          only wakes workers, so a lost ring costs a second and never a job.
        </Story>
        <Story title="One worker at a time">
          A worker takes jobs with a lease and a number that grows. Whatever an older holder of the job still
          wants to write is refused, so a frozen process that wakes up can't spoil anything.
        </Story>
        <Story title="Nothing is paid twice">
          The wish to buy is written down before the provider is called. When the answer is lost, the job is
          not simply sent again: the provider's own list is searched for the call first, twice, with time
          between.
        </Story>
        <Story title="Outputs are yours">
          Links of providers die within the hour. Every output is fetched, checked and stored before the job
          counts as completed, and it stays until you delete it.
        </Story>
        <Story title="Trouble is waited out">
          A provider that is busy or away is asked less and less often; its jobs wait and say why. What was
          paid for is kept, even when you canceled too late.
        </Story>
      </section>
      <section aria-labelledby="grow">
        <h2 id="grow" className="pb-3 font-semibold text-20">
          What changes when you grow
        </h2>
        <p className="pb-3 text-13 text-muted">
          {system.mode === "embedded"
            ? "All of it runs on this machine, in one process. The same code grows by settings."
            : "This installation has grown past one process. What is left:"}
        </p>
        <ol>
          {stepsOf(system).map((step) => (
            <GrowthStep key={step.title} step={step} />
          ))}
        </ol>
      </section>
    </div>
  );
}

const Story = ({ title, children }: { title: string; children: ReactNode }) => (
  <div className="border-line border-t py-3">
    <h3 className="font-medium text-14">{title}</h3>
    <p className="max-w-prose pt-0.5 text-13 text-muted">{children}</p>
  </div>
);

const GrowthStep = ({ step: { title, why, settings, done } }: { step: Step }) => (
  <li className="border-line border-t py-3">
    <h3 className="flex items-baseline justify-between gap-3 font-medium text-14">
      {title}
      {done && <span className="text-12 text-ok">In use here</span>}
    </h3>
    <p className="max-w-prose pt-0.5 text-13 text-muted">{why}</p>
    {!done && (
      <div className="mt-2 flex items-start gap-2 rounded-s bg-surface py-1.5 pr-1.5 pl-3">
        <pre className="min-w-0 grow whitespace-pre-wrap break-all py-1 font-mono text-12">{settings}</pre>
        <CopyButton text={settings} what={`Settings: ${title.toLowerCase()}`} />
      </div>
    )}
  </li>
);
