import { atWork, type Delivery, type Job } from "@/shared/api/jobs";
import { count, exact, sentence, span, wholeSpan } from "@/shared/lib/format";

export const took = (job: Job) => Date.parse(job.completed_at ?? "") - Date.parse(job.created_at);

/** What happens to the job, in a few words: "Mock is making it", "Made in 2.4 s", "Failed". */
export function statusWords(job: Job): string {
  if (job.status === "completed") return `Made in ${span(took(job))}`;
  if (job.status === "failed") return "Failed";
  if (job.status === "canceled") return "Canceled";
  return job.cancel_requested ? "Canceling" : sentence(job.message);
}

/** What belongs to the words while the job is at work: "12 s so far, usually 9 s". */
export function timeWords(job: Job, at: number, usualMs?: number | null): string {
  if (!atWork(job)) return "";
  const elapsed = `${wholeSpan(at - Date.parse(job.created_at))} so far`;
  const waitMs = job.next_try_at ? Date.parse(job.next_try_at) - at : 0;
  if (waitMs > 0) {
    const next = `${job.attempt + 1} of ${job.max_attempts}`;
    return `Trying again in ${span(Math.ceil(waitMs / 1000) * 1000)} (${next}), ${elapsed}`;
  }
  return usualMs ? `${elapsed}, usually ${span(Math.max(1000, Math.round(usualMs / 1000) * 1000))}` : elapsed;
}

/** Why it failed and what that cost: sentences. */
export function failureWords(job: Job, free: boolean): string {
  if (job.status !== "failed") return "";
  const why = (job.error_message ?? "No reason is known").replace(/[.\s]+$/, "");
  const cost =
    free || !job.attempt
      ? "Nothing was charged."
      : `At most ${count(job.attempt, "call")} may have been charged.`;
  return `${sentence(why)}. ${cost}`;
}

/** "mock/darkroom · 1024 × 768 · seed 7". */
export function factWords({ model, parameters }: Job): string {
  const [width, height, ratio, seed] = ["width", "height", "aspect_ratio", "seed"].map((name) => {
    const value = parameters[name]; // anything that a client sent
    return ["number", "string"].includes(typeof value) ? String(value) : "";
  });
  const size = width && height ? `${width} × ${height}` : ratio;
  return [model, size, seed && `seed ${seed}`].filter(Boolean).join(" · ");
}

/** How far the job's webhook has come: "Delivered", "Given up after 9 tries: the last answer was 500". */
export function deliveryWords({ state, attempts, last_status, next_try_at }: Delivery): string {
  const tries = count(attempts, "try", "tries");
  if (state === "delivered") return attempts > 1 ? `Delivered after ${tries}` : "Delivered";
  if (attempts === 0) return "Being delivered";
  const answer = last_status === null ? "no answer came" : `the last answer was ${last_status}`;
  if (state === "dead") return `Given up after ${tries}: ${answer}`;
  return next_try_at ? `${tries}, ${answer}; again ${exact(next_try_at)}` : `${tries}, ${answer}`;
}
