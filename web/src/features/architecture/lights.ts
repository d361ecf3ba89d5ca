import { useEffect, useState } from "react";
import type { JobEvent } from "@/shared/api/jobs";
import { onJobEvent } from "@/shared/api/live";

/** A job on its way along an edge. */
export type Light = { key: number; edge: string; back: boolean; bad: boolean; afterMs: number };

export const TRAVEL_MS = 700;
const MOST = 48; // lights at a time; more would say no more

type Leg = [edge: string, back?: boolean];

/** The way that an event tells of, leg by leg. `provider` is the id of the part that has the job. */
export function wayOf(type: string, provider: string): Leg[] {
  const toProvider = `worker>${provider}`;
  switch (type) {
    case "created":
      return [["client>api"], ["api>database"]];
    case "submitted":
      return [["database>worker"], [toProvider]];
    case "accepted":
    case "progress":
    case "reconciling":
      return [[toProvider, true]];
    case "storing":
      return [[toProvider, true], ["worker>storage"]];
    case "succeeded":
      return [
        ["database>worker", true],
        ["api>database", true],
        ["client>api", true],
      ];
    case "retrying":
    case "failed":
    case "canceled":
      return [["database>worker", true]];
    default:
      return [];
  }
}

/** Beside the way of a new job, its ring. */
const RING: Leg[] = [["api>broker"], ["broker>worker"]];

/** The lights that are on their way, and how to put one out. */
export function useLights(firstProvider: string): [Light[], (key: number) => void] {
  const [lights, setLights] = useState<Light[]>([]);
  useEffect(() => {
    let key = 0;
    const sentTo = new Map<string, string>(); // job id to provider
    const partOf = ({ job_id, data }: JobEvent) => {
      if (typeof data.provider === "string") sentTo.set(job_id, data.provider);
      return `provider:${sentTo.get(job_id) ?? firstProvider}`;
    };
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    return onJobEvent((event) => {
      if (document.hidden || still.matches) return;
      const bad = event.type === "failed" || event.type === "retrying";
      const legs = [wayOf(event.type, partOf(event)), ...(event.type === "created" ? [RING] : [])];
      const lit = legs.flatMap((way, number) =>
        way.map(([edge, back = false], leg): Light => {
          key += 1;
          return { key, edge, back, bad, afterMs: (leg + number) * TRAVEL_MS };
        }),
      );
      setLights((now) => (now.length + lit.length > MOST ? now : [...now, ...lit]));
    });
  }, [firstProvider]);
  return [lights, (key) => setLights((now) => now.filter((light) => light.key !== key))];
}
