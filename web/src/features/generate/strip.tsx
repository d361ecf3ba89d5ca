import type { KeyboardEvent } from "react";
import { Link } from "react-router";
import { ratioOf } from "@/entities/job/shape";
import { JobTile } from "@/entities/job/tile";
import type { Job } from "@/shared/api/jobs";

const [NARROWEST, WIDEST] = [0.5, 2.4]; // beyond, a tile would tear its row
const HEIGHT = 132; // pixels, of a row

interface StripProps {
  jobs: Job[];
  selected: string | undefined;
  onSelect: (id: string) => void;
}

/** The day's work, newest first, in rows of even height. */
export function Strip({ jobs, selected, onSelect }: StripProps) {
  return (
    <section className="px-4 pt-8 pb-6 sm:px-6" aria-label="Latest jobs">
      <div className="flex items-baseline justify-between pb-2">
        <h2 className="text-13 text-muted">Latest</h2>
        <Link to="/history" className="rounded-s text-13 text-muted hover:text-text">
          All in History
        </Link>
      </div>
      <ul className="flex flex-wrap gap-1.5 after:grow-[1000] after:content-['']" onKeyDown={moveFocus}>
        {jobs.map((job) => {
          const ratio = Math.min(WIDEST, Math.max(NARROWEST, ratioOf(job)));
          return (
            <li
              key={job.id}
              className="max-w-full"
              style={{ flex: `${ratio} 1 ${ratio * HEIGHT}px`, height: HEIGHT }}
            >
              <JobTile
                job={job}
                aria-current={job.id === selected}
                onClick={() => onSelect(job.id)}
                className="aria-[current=true]:outline-2 aria-[current=true]:outline-text aria-[current=true]:outline-offset-1"
              />
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** The arrows go from tile to tile. */
function moveFocus(event: KeyboardEvent): void {
  const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key] as
    | "nextElementSibling"
    | "previousElementSibling"
    | undefined;
  if (!step || !(event.target instanceof HTMLElement)) return;
  const button = event.target.closest("li")?.[step]?.querySelector("button");
  if (!button) return;
  event.preventDefault();
  button.focus();
}
