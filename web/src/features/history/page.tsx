import { useInfiniteQuery } from "@tanstack/react-query";
import { Suspense, useCallback, useEffect, useMemo } from "react";
import { Link, useSearchParams } from "react-router";
import { leaving } from "@/entities/job/remove";
import { jobList } from "@/shared/api/jobs";
import { useCommands } from "@/shared/lib/commands";
import { later } from "@/shared/lib/later";
import { useStore } from "@/shared/lib/store";
import { useTitle } from "@/shared/lib/title";
import { Button } from "@/shared/ui/button";
import { Failure, Notice, Skeleton } from "@/shared/ui/states";
import { FilterBar } from "./filter-bar";
import { NONE, useFilters } from "./filters";
import type { Frame } from "./frames";
import { Gallery } from "./gallery";
import { clearSelection, selectAll, selection } from "./selection";
import { SelectionBar } from "./selection-bar";

const Lightbox = later(async () => (await import("./lightbox")).Lightbox);

const AHEAD = 8; // jobs that are kept ready beyond the one that is shown large

/** All jobs, newest first: the gallery. */
export function HistoryPage() {
  useTitle("History");
  const { chosen, choose, filters, active } = useFilters();
  const { data, error, refetch, hasNextPage, isFetchingNextPage, fetchNextPage } = useInfiniteQuery(
    jobList(filters),
  );
  const gone = useStore(leaving);
  const jobs = useMemo(
    () => data?.pages.flatMap(({ items }) => items).filter(({ id }) => !gone.has(id)) ?? [],
    [data, gone],
  );
  const { frame, show, close } = useFrame();
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  const left = frame ? jobs.length - 1 - jobs.findIndex(({ id }) => id === frame.id) : AHEAD;
  useEffect(() => {
    if (left < AHEAD) more(); // so that keys lead on past what was loaded
  }, [left, more]);
  const { ids } = useStore(selection);
  const picked = useMemo(() => jobs.filter(({ id }) => ids.has(id)), [jobs, ids]);
  useEffect(() => clearSelection, []);
  useCommands([
    {
      id: "all",
      label: "Choose all that are shown",
      group: "History",
      keys: "mod+a",
      inFields: false, // there it chooses the text
      inDialogs: false,
      run: () => selectAll(jobs.map(({ id }) => id)),
    },
  ]);

  return (
    <section>
      <h1 className="sr-only">History</h1>
      <FilterBar chosen={chosen} choose={choose} />
      <div className="px-1.5 pb-24 sm:px-2.5">
        {error && !data && <Failure error={error} onRetry={refetch} />}
        {!error && !data && <Loading />}
        {data && jobs.length === 0 && <Empty filtered={active} onClear={() => choose(NONE)} />}
        {jobs.length > 0 && <Gallery jobs={jobs} onOpen={show} onEnd={more} />}
        {isFetchingNextPage && <Loading />}
      </div>
      {picked.length > 0 && !frame && <SelectionBar jobs={picked} />}
      <Suspense fallback={null}>
        {frame && <Lightbox jobs={jobs} frame={frame} onShow={show} onClose={close} />}
      </Suspense>
    </section>
  );
}

/** The picture that is shown large: the address names it, and "back" closes it. */
function useFrame() {
  const [search, setSearch] = useSearchParams();
  const id = search.get("job");
  const frame = id ? { id, number: Number(search.get("n")) || 0 } : undefined;
  const put = useCallback(
    (next?: Frame) =>
      setSearch(
        (before) => {
          const after = new URLSearchParams(before);
          after.delete("job");
          after.delete("n");
          if (next) after.set("job", next.id);
          if (next?.number) after.set("n", String(next.number));
          return after;
        },
        { replace: Boolean(id) || !next, preventScrollReset: true },
      ),
    [setSearch, id],
  );
  const show = useCallback(
    (next: Frame | string) => put(typeof next === "string" ? { id: next, number: 0 } : next),
    [put],
  );
  const close = useCallback(() => put(), [put]);
  return { frame, show, close };
}

const SHAPES = [1.5, 0.8, 1, 1.8, 0.7, 1.2, 1, 1.4];

const Loading = () => (
  <div aria-busy="true" className="flex flex-wrap gap-1.5 pt-1.5">
    <span className="sr-only">Loading</span>
    {SHAPES.map((ratio, index) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: they never move
      <Skeleton key={index} className="h-36 grow animate-pulse sm:h-52" ratio={ratio} />
    ))}
  </div>
);

function Empty({ filtered, onClear }: { filtered: boolean; onClear: () => void }) {
  if (filtered)
    return (
      <Notice title="Nothing matches" action={<Button onClick={onClear}>Clear the filters</Button>}>
        No job has all of this. Search looks for the words in the prompt, in any case.
      </Notice>
    );
  return (
    <Notice
      title="Nothing developed yet"
      action={
        <Button asChild look="primary">
          <Link to="/">Make something</Link>
        </Button>
      }
    >
      Every picture that you make is kept here.
    </Notice>
  );
}
