import { useTitle } from "@/shared/lib/title";
import { Failure, Skeleton } from "@/shared/ui/states";
import { Charts } from "./charts";
import { Design } from "./design";
import { Diagram } from "./diagram";
import { type Part, partsOf } from "./parts";
import { useKnown } from "./use-known";

/** The living system: the parts of this installation, the jobs that pass, and why it is built so. */
export function ArchitecturePage() {
  useTitle("Architecture");
  const { known, error, again } = useKnown();
  if (error && !known) return <Failure error={error} onRetry={again} />;
  const parts = known && partsOf(known);
  return (
    <div className="mx-auto flex max-w-6xl flex-col gap-14 px-4 py-8 sm:px-6">
      <section aria-labelledby="title">
        <h1 id="title" className="font-semibold text-20">
          Architecture
        </h1>
        <p className="pb-6 text-13 text-muted">{known ? modeWords(known.system) : "Looking at the parts…"}</p>
        {parts && <Troubles parts={parts} />}
        {known && parts ? (
          <Diagram parts={parts} firstProvider={known.system.providers[0]?.name ?? ""} />
        ) : (
          <Skeleton className="h-96" />
        )}
      </section>
      {known && <Charts system={known.system} stats={known.stats} />}
      {known && <Design system={known.system} />}
    </div>
  );
}

const modeWords = ({ mode, mock_mode: mock }: { mode: string; mock_mode: boolean }) =>
  `${mode === "embedded" ? "Embedded: one process on one machine" : "Distributed: parts of their own"}. ${
    mock ? "Mock mode: pictures are drawn here and cost nothing." : "Connected to real providers."
  } Each light is a job that passes.`;

function Troubles({ parts }: { parts: Part[] }) {
  const found = parts.filter(({ trouble }) => trouble);
  return (
    <div role="status" aria-live="polite">
      {found.map(({ id, title, trouble }) => (
        <p key={id} className="mb-3 rounded-s border border-bad px-3 py-2 text-13">
          <strong className="font-medium text-bad">{title}: </strong>
          {trouble}
        </p>
      ))}
    </div>
  );
}
