import type { Stats, System } from "@/shared/api/system";

export type Minute = System["minutes"][number];
type Now = Pick<System, "minutes" | "queue_depth" | "in_flight">;

/** How many jobs waited and how many were with a provider at the end of a minute. */
export type Load = { queued: number; inFlight: number };

/** Reckon back from what is there now: what came in and ended since then tells what was there. */
export function loads({ minutes, queue_depth, in_flight }: Now): Load[] {
  let queued = queue_depth;
  let inFlight = in_flight;
  const found = minutes.map(() => ({ queued: 0, inFlight: 0 }));
  for (let index = minutes.length - 1; index >= 0; index -= 1) {
    found[index] = { queued: Math.max(0, queued), inFlight: Math.max(0, inFlight) };
    const { accepted, begun, completed, failed, canceled } = minutes[index] as Minute;
    queued -= accepted - begun;
    inFlight -= begun - completed - failed - canceled;
  }
  return found;
}

const REASONS: Record<string, string> = {
  moderation: "Refused by the provider's moderation",
  invalid_input: "Refused: bad input",
  timeout: "Took too long",
  expired: "Waited too long",
  provider_error: "Failed at the provider",
  storage_error: "Could not be stored",
};

/** The reasons why jobs failed, the commonest first. */
export const reasons = (errors: Stats["errors"]): [words: string, count: number][] =>
  Object.entries(errors)
    .sort(([, a], [, b]) => b - a)
    .map(([code, count]) => [REASONS[code] ?? code.replaceAll("_", " "), count]);
