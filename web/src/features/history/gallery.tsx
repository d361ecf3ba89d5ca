import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, useEffect, useMemo } from "react";
import { ratioOf } from "@/entities/job/shape";
import type { Job } from "@/shared/api/jobs";
import { useStore } from "@/shared/lib/store";
import { useWidth } from "@/shared/lib/use-width";
import { density, rowHeight } from "./density";
import { justified } from "./layout";
import { beside } from "./steps";
import { Tile } from "./tile";

const GAP = 6; // px
const AHEAD = 4; // rows that are kept ready beyond the edges

interface GalleryProps {
  jobs: Job[];
  onOpen: (id: string) => void;
  /** Called when the end comes into sight. */
  onEnd: () => void;
}

/** Pictures in rows without ragged edges. Only those near the screen exist. */
export function Gallery({ jobs, onOpen, onEnd }: GalleryProps) {
  const { ref, width, top } = useWidth();
  const height = rowHeight(useStore(density), width);
  const rows = useMemo(
    () => (width ? justified(jobs.map(ratioOf), width, height, GAP) : []),
    [jobs, width, height],
  );
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: (index) => (rows[index]?.height ?? 0) + GAP,
    overscan: AHEAD,
    scrollMargin: top,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows of other heights have to be laid out anew
  useEffect(() => virtual.measure(), [rows, virtual]);

  const shown = virtual.getVirtualItems();
  const atEnd = (shown.at(-1)?.index ?? 0) >= rows.length - 1 - AHEAD * 2;
  // biome-ignore lint/correctness/useExhaustiveDependencies: a page that fills no screen must bring the next
  useEffect(() => {
    if (width && atEnd) onEnd();
  }, [atEnd, width, jobs.length, onEnd]);

  function move(event: KeyboardEvent): void {
    const id = (event.target as HTMLElement).dataset.job;
    const to =
      id &&
      beside(
        rows,
        jobs.findIndex((job) => job.id === id),
        event.key,
      );
    if (to === undefined || to === "" || !jobs[to]) return;
    event.preventDefault();
    virtual.scrollToIndex(
      rows.findIndex((row) => to < row.to),
      { align: "auto" },
    );
    requestAnimationFrame(() => document.querySelector<HTMLElement>(`[data-job="${jobs[to]?.id}"]`)?.focus());
  }

  const order = useMemo(() => jobs.map(({ id }) => id), [jobs]);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: arrow keys move between the buttons inside
    <div ref={ref} onKeyDown={move} className="relative" style={{ height: virtual.getTotalSize() }}>
      {shown.map(({ key, index, start }) => {
        const row = rows[index];
        return (
          row && (
            <div
              key={key}
              className="absolute inset-x-0 flex"
              style={{ gap: GAP, height: row.height, transform: `translateY(${start - top}px)` }}
            >
              {jobs.slice(row.from, row.to).map((job) => (
                <Tile
                  key={job.id}
                  job={job}
                  order={order}
                  width={Math.min(width, ratioOf(job) * row.height)}
                  grow={row.full}
                  onOpen={onOpen}
                />
              ))}
            </div>
          )
        );
      })}
    </div>
  );
}
