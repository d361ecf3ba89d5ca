import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router";
import type { JobFilters, JobStatus } from "@/shared/api/jobs";

export const STATUSES: { value: JobStatus; label: string }[] = [
  { value: "completed", label: "Completed" },
  { value: "pending", label: "Waiting" },
  { value: "processing", label: "In the making" },
  { value: "failed", label: "Failed" },
  { value: "canceled", label: "Canceled" },
];

export const SPANS = [
  { value: "1", label: "Today" },
  { value: "7", label: "Last 7 days" },
  { value: "30", label: "Last 30 days" },
] as const;

/** What the address bar says of the filters. Empty: any. */
export interface Chosen {
  q: string;
  status: JobStatus | "";
  model: string;
  days: string;
}

/** The filters, which live in the URL, and how to change some of them. */
export function useFilters() {
  const [search, setSearch] = useSearchParams();
  const chosen = useMemo(() => read(search), [search]);
  const choose = useCallback(
    (change: Partial<Chosen>) =>
      setSearch(
        (before) => {
          const next = { ...read(before), ...change };
          const kept = new URLSearchParams(before);
          for (const [name, value] of Object.entries(next)) {
            if (value) kept.set(name, value);
            else kept.delete(name);
          }
          return kept;
        },
        { replace: true },
      ),
    [setSearch],
  );
  const filters = useMemo(() => asked(chosen), [chosen]);
  return { chosen, choose, filters, active: Object.values(chosen).some(Boolean) };
}

export const NONE: Chosen = { q: "", status: "", model: "", days: "" };

export function read(search: URLSearchParams): Chosen {
  const status = search.get("status");
  const days = search.get("days");
  return {
    q: search.get("q") ?? "",
    status: STATUSES.find(({ value }) => value === status)?.value ?? "",
    model: search.get("model") ?? "",
    days: SPANS.find(({ value }) => value === days)?.value ?? "",
  };
}

/** The same for the API. The day starts at midnight here, so that the answer can be cached for a day. */
export function asked({ q, status, model, days }: Chosen, today = new Date()): JobFilters {
  const from = new Date(today.getFullYear(), today.getMonth(), today.getDate() - (Number(days) - 1));
  return {
    ...(q && { q }),
    ...(status && { status }),
    ...(model && { model }),
    ...(days && { created_after: from.toISOString() }),
  };
}
