import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { health, stats, system } from "@/shared/api/system";
import { createStore, useStore } from "@/shared/lib/store";
import type { Known } from "./parts";

const OFTEN_MS = 2000;
const SELDOM_MS = 5000;
const MOST = 60;

/** Samples since the app was opened; they stay while other pages are shown. */
const samples = createStore<Known["samples"]>([]);

/** Ask again and again how the installation is. */
export function useKnown() {
  const now = useQuery({ ...stats(), refetchInterval: OFTEN_MS });
  const parts = useQuery({ ...health(), refetchInterval: SELDOM_MS });
  const hour = useQuery({ ...system(), refetchInterval: SELDOM_MS });
  const { data: numbers, dataUpdatedAt } = now;
  const checks = parts.data?.components;
  // biome-ignore lint/correctness/useExhaustiveDependencies: one sample an answer
  useEffect(() => {
    if (!numbers) return;
    const sample = {
      queued: numbers.queue_depth,
      inFlight: numbers.in_flight,
      databaseMs: checks?.database?.latency_ms ?? 0,
      storageMs: checks?.storage?.latency_ms ?? 0,
    };
    samples.set([...samples.get(), sample].slice(-MOST));
  }, [dataUpdatedAt]);
  const seen = useStore(samples);
  const known: Known | undefined =
    now.data && parts.data && hour.data
      ? { stats: now.data, health: parts.data, system: hour.data, samples: seen }
      : undefined;
  const again = () => Promise.all([now.refetch(), parts.refetch(), hour.refetch()]);
  return { known, error: now.error ?? parts.error ?? hour.error, again };
}
