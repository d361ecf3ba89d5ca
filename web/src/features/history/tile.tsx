import { Check } from "lucide-react";
import { type MouseEvent, memo } from "react";
import { JobTile } from "@/entities/job/tile";
import type { Job } from "@/shared/api/jobs";
import { cn } from "@/shared/lib/cn";
import { useStore } from "@/shared/lib/store";
import { select, selection } from "./selection";

interface TileProps {
  job: Job;
  /** The ids of all jobs as they stand, for ranges. */
  order: string[];
  width: number;
  /** Whether it takes its part of what rounding left of the row. */
  grow: boolean;
  onOpen: (id: string) => void;
}

/** A job in the gallery: a click opens it, or chooses it once others are chosen. */
export const Tile = memo(function Tile({ job, order, width, grow, onOpen }: TileProps) {
  const { ids } = useStore(selection);
  const chosen = ids.has(job.id);
  const choosing = ids.size > 0;
  const pick = (event: MouseEvent) => select(job.id, order, event.shiftKey);
  return (
    <div className="group/tile relative h-full min-w-0" style={{ flex: `${Number(grow)} 1 ${width}px` }}>
      <JobTile
        job={job}
        className={cn(
          "transition-transform",
          chosen && "scale-[0.94] outline-2 outline-lit outline-offset-2",
        )}
        onClick={(event) =>
          choosing || event.shiftKey || event.ctrlKey || event.metaKey ? pick(event) : onOpen(job.id)
        }
      />
      <button
        type="button"
        aria-pressed={chosen}
        aria-label={`Choose ${job.prompt}`}
        tabIndex={-1}
        onClick={pick}
        className={cn(
          "absolute top-0 left-0 grid size-10 place-items-center opacity-0 transition-opacity focus-visible:opacity-100 group-focus-within/tile:opacity-100 group-hover/tile:opacity-100",
          (chosen || choosing) && "opacity-100",
        )}
      >
        <span
          className={cn(
            "grid size-5 place-items-center rounded-full border-2 border-veil-ink bg-veil text-veil-ink",
            chosen && "border-accent bg-accent text-accent-ink",
          )}
        >
          {chosen && <Check aria-hidden="true" className="size-3.5" strokeWidth={3} />}
        </span>
      </button>
    </div>
  );
});
