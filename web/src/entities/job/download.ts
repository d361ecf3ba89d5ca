import type { Artifact, Job } from "@/shared/api/jobs";

const LONGEST = 60; // characters of the prompt in a file's name
const ENDINGS: Record<string, string> = { "image/jpeg": "jpg", "audio/mpeg": "mp3", "text/plain": "txt" };

/** A name for a file on disk: what was asked for, and enough of the id that no two are the same. */
export function fileName(job: Pick<Job, "id" | "prompt" | "artifacts">, artifact: Artifact): string {
  const words = job.prompt
    .normalize("NFKC")
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-+|-+$/g, "");
  const number = job.artifacts.length > 1 ? `-${job.artifacts.indexOf(artifact) + 1}` : "";
  const ending =
    ENDINGS[artifact.media_type] ?? (artifact.media_type.split("/")[1] ?? "bin").replace(/\W.*$/, "");
  return `${[...words].slice(0, LONGEST).join("") || "picture"}-${job.id.slice(-6)}${number}.${ending}`;
}

/** Let the browser save what lies at the address. A name that the server gives goes before ours. */
export function save(address: string, name = ""): void {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}

/** Save the files of a job, one by one, under the names that the server gives them. */
export function saveFiles(job: Job): void {
  for (const artifact of job.artifacts) save(artifact.url);
}
