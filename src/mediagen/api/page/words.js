// What a job looks like in words and in shape: functions of the job alone, as the API gives it.

const COUNT_NAMES = ["num_outputs", "num_images"];
export const clock = { skew: 0 }; // milliseconds that the server's clock is ahead of ours

export const now = () => Date.now() + clock.skew;
export const atWork = (job) => job.status === "pending" || job.status === "processing";
export const took = (job) => Date.parse(job.completed_at) - Date.parse(job.created_at);
export const countName = (properties) => COUNT_NAMES.find((name) => properties[name]);

export function span(ms) {
  const seconds = Math.max(0, ms / 1000);
  if (seconds < 60) return `${seconds < 9.95 ? Math.round(seconds * 10) / 10 : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function ago(time) {
  const seconds = (now() - Date.parse(time)) / 1000;
  if (seconds < 10) return "just now";
  const [unit, size] = [
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
  ].find(([, s]) => seconds >= s) ?? ["second", 1];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.floor(seconds / size), unit);
}

export function words(job) {
  if (job.status === "completed") return `Made in ${span(took(job))}`;
  if (!atWork(job)) return job.status === "failed" ? "Failed" : "Canceled";
  if (job.cancel_requested) return "Canceling";
  return job.message[0].toUpperCase() + job.message.slice(1);
}

// `others` are jobs that tell what is usual.
export function since(job, others) {
  if (!atWork(job)) return ago(job.completed_at);
  const elapsed = `${span(Math.floor((now() - Date.parse(job.created_at)) / 1000) * 1000)} so far`;
  const wait = Math.ceil((Date.parse(job.next_try_at) - now()) / 1000);
  if (wait > 0) return `Trying again in ${span(wait * 1000)} (${job.attempt + 1} of ${job.max_attempts}), ${elapsed}`;
  const same = others.filter((other) => other.status === "completed" && other.model === job.model);
  const usual = same.map(took).sort((a, b) => a - b)[same.length >> 1];
  return usual ? `${elapsed}, usually ${span(Math.ceil(usual / 1000) * 1000)}` : elapsed;
}

export function reason(job, free) {
  if (job.status !== "failed") return "";
  const cost = free || !job.attempt ? "Nothing was charged." : `Paid calls: ${job.attempt} at most.`;
  return `${job.error_message.replace(/[.\s]+$/, "")}. ${cost}`;
}

export function facts({ model, parameters: { aspect_ratio, width, height, seed } }) {
  const size = width && height ? `${width} × ${height}` : aspect_ratio;
  return [model, size, seed != null && `seed ${seed}`].filter(Boolean).join(" · ");
}

export function ratioOf({ parameters, artifacts }) {
  const [across, down] = String(parameters.aspect_ratio ?? "").split(":");
  const asked = parameters.width / parameters.height || across / down || 1;
  const got = artifacts[0]?.width / artifacts[0]?.height;
  const ratio = Math.abs(got / asked - 1) > 0.05 ? got : asked; // a picture that came as asked moves nothing
  return Math.min(5, Math.max(0.2, ratio));
}

export function countOf({ parameters, artifacts }) {
  return artifacts.length || Math.min(16, Math.max(1, Math.floor(parameters[countName(parameters)]) || 1));
}

// How to lay out a job's pictures: columns, the ratio of the whole, and whether the first one leads, twice as large.
export function layout(job) {
  const [ratio, count] = [ratioOf(job), countOf(job)];
  const wide = ratio > 1.1;
  if (count === 3 && wide) return { columns: 2, whole: (ratio * 2) / 3, lead: true };
  const columns = count === 2 && wide ? 1 : count <= 3 ? count : Math.ceil(Math.sqrt(count));
  return { columns, whole: (ratio * columns) / Math.ceil(count / columns), lead: false };
}
