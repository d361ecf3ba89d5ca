import { type JobEvent, lookAt } from "@/shared/api/jobs";
import { onJobEvent } from "@/shared/api/live";
import { mine } from "@/shared/api/outbox";
import { toast } from "@/shared/lib/toast";

const ENDS = ["succeeded", "failed"];
const MOST = 60; // characters of the prompt

/** Tell how jobs of this browser ended while another page is shown; return how to stop. */
export function tellNews(show: (id: string) => void): () => void {
  return onJobEvent((event) => {
    const seen = location.pathname === "/" || location.pathname.includes(event.job_id);
    if (ENDS.includes(event.type) && mine.get().includes(event.job_id) && !seen) void tell(event, show);
  });
}

async function tell(event: JobEvent, show: (id: string) => void): Promise<void> {
  const job = await lookAt(event.job_id).catch(() => null);
  if (!job) return;
  const prompt = job.prompt.length > MOST ? `${job.prompt.slice(0, MOST)}…` : job.prompt;
  const failed = event.type === "failed";
  toast(failed ? `Failed: ${prompt}` : `Made: ${prompt}`, {
    tone: failed ? "bad" : "plain",
    action: { label: "Show", run: () => show(job.id) },
  });
}
