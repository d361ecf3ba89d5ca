import type { Job } from "@/shared/api/jobs";

const COUNT_NAMES = ["num_outputs", "num_images", "n"];
const CHANGED = 0.05; // by more than this a picture differs from the shape that was asked for
const [NARROWEST, WIDEST] = [0.2, 5];

/** The parameter that says how many outputs are made, if the model has one. */
export const countName = (properties: Record<string, unknown>) =>
  COUNT_NAMES.find((name) => name in properties);

/** A number that a client sent: parameters may hold anything. */
const numberOf = (value: unknown) =>
  ["number", "string"].includes(typeof value) ? Number(value) : Number.NaN;

/** Width over height of the job's pictures: as asked for at first, so that the place is kept. */
export function ratioOf({ parameters, artifacts }: Pick<Job, "parameters" | "artifacts">): number {
  const { width, height, aspect_ratio: shape } = parameters;
  const [across, down] = typeof shape === "string" ? shape.split(":").map(Number) : [];
  const asked = numberOf(width) / numberOf(height) || numberOf(across) / numberOf(down) || 1;
  const [first] = artifacts;
  const got = first?.width && first.height ? first.width / first.height : asked;
  const ratio = Math.abs(got / asked - 1) > CHANGED ? got : asked;
  return Math.min(WIDEST, Math.max(NARROWEST, ratio));
}

/** How many outputs there are, or will be. */
export function outputCount({ parameters, artifacts }: Pick<Job, "parameters" | "artifacts">): number {
  const name = countName(parameters);
  return artifacts.length || Math.min(16, Math.max(1, Math.floor(numberOf(name && parameters[name])) || 1));
}
