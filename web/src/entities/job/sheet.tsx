import type { Artifact, Job } from "@/shared/api/jobs";
import { cn } from "@/shared/lib/cn";
import { layoutOf } from "./layout";
import { Print } from "./print";
import { Progress } from "./progress";
import { outputCount, ratioOf } from "./shape";

interface SheetProps {
  job: Job;
  /** At most as high as this, as a CSS length. */
  maxHeight: string;
  /** Show one of the pictures large. */
  onOpen?: (index: number) => void;
  className?: string;
}

/** All prints of a job, laid out as one block whose place is kept from the first moment. */
export function Sheet({ job, maxHeight, onOpen, className }: SheetProps) {
  const [ratio, count] = [ratioOf(job), outputCount(job)];
  const { columns, whole, lead } = layoutOf(ratio, count);
  const frames = Array.from({ length: count }, (_, index) => ({ index, artifact: job.artifacts[index] }));
  return (
    <div
      data-sheet=""
      className={cn("relative grid max-w-full gap-1 overflow-hidden rounded-s", className)}
      style={{
        aspectRatio: whole,
        width: `min(100%, calc(${maxHeight} * ${whole}))`,
        gridTemplateColumns: `repeat(${columns}, 1fr)`,
      }}
    >
      {frames.map((frame) => (
        <div key={frame.index} className={cn("relative", lead && frame.index === 0 && "col-span-2")}>
          <Frame job={job} artifact={frame.artifact} onOpen={onOpen && (() => onOpen(frame.index))} />
        </div>
      ))}
      <Progress job={job} />
    </div>
  );
}

function Frame({ job, artifact, onOpen }: { job: Job; artifact?: Artifact; onOpen?: () => void }) {
  const print = <Print job={job} artifact={artifact} className="absolute inset-0" />;
  if (!artifact || !onOpen || artifact.kind !== "image") return print;
  return (
    <button
      type="button"
      aria-label={`Show picture ${artifact.index + 1} large`}
      onClick={onOpen}
      className="absolute inset-0 cursor-zoom-in focus-visible:outline-offset-[-4px]"
    >
      {print}
    </button>
  );
}
