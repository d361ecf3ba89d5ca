import { fileName, save } from "@/entities/job/download";
import type { Job } from "@/shared/api/jobs";

/** Save all files of the jobs as one archive; it is put together here, file after file. Throws when a file is missing. */
export async function saveZip(jobs: Job[], moved: (done: number, of: number) => void): Promise<void> {
  const { downloadZip } = await import("client-zip");
  const files = jobs.flatMap((job) => job.artifacts.map((artifact) => ({ job, artifact })));
  async function* inputs() {
    for (const [done, { job, artifact }] of files.entries()) {
      moved(done, files.length);
      const answer = await fetch(artifact.url);
      if (!answer.ok) throw new Error(`${fileName(job, artifact)} could not be read (${answer.status})`);
      yield { name: fileName(job, artifact), lastModified: new Date(job.created_at), input: answer };
    }
  }
  const address = URL.createObjectURL(await downloadZip(inputs()).blob());
  save(address, `mediagen-${new Date().toISOString().slice(0, 10)}.zip`);
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
