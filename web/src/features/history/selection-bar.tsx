import { useQueryClient } from "@tanstack/react-query";
import { Download, Trash2, X } from "lucide-react";
import { useState } from "react";
import { removeWithUndo } from "@/entities/job/remove";
import { atWork, type Job } from "@/shared/api/jobs";
import { useCommands } from "@/shared/lib/commands";
import { count } from "@/shared/lib/format";
import { toast } from "@/shared/lib/toast";
import { Button } from "@/shared/ui/button";
import { Tooltip } from "@/shared/ui/tooltip";
import { clearSelection } from "./selection";
import { saveZip } from "./zip";

/** What can be done with the chosen jobs. */
export function SelectionBar({ jobs }: { jobs: Job[] }) {
  const client = useQueryClient();
  const [done, setDone] = useState<string>();
  const files = jobs.reduce((sum, job) => sum + job.artifacts.length, 0);
  const ended = jobs.filter((job) => !atWork(job));

  async function zip(): Promise<void> {
    try {
      await saveZip(jobs, (now, of) => setDone(`${now} of ${of}`));
    } catch (error) {
      toast(error instanceof Error ? error.message : "The archive could not be made", { tone: "bad" });
    } finally {
      setDone(undefined);
    }
  }

  function remove(): void {
    if (ended.length < jobs.length) toast("Jobs at work stay: cancel them first");
    if (ended.length > 0) removeWithUndo(client, ended);
    clearSelection();
  }

  useCommands([
    { id: "clear", label: "Choose none", group: "Chosen", keys: "escape", run: clearSelection },
    { id: "zip", label: "Download the chosen as a zip", group: "Chosen", keys: "d", run: zip },
    { id: "delete", label: "Delete the chosen", group: "Chosen", keys: "delete", run: remove },
  ]);
  return (
    <div
      role="toolbar"
      aria-label="Chosen jobs"
      className="fixed inset-x-0 bottom-4 z-30 mx-auto flex w-fit max-w-[calc(100vw-16px)] animate-rise items-center gap-2 rounded-m border border-line bg-surface p-2 pl-4 shadow-float"
    >
      <span className="pr-2 text-13" aria-live="polite">
        {done ? `Packing ${done}` : `${jobs.length} chosen`}
      </span>
      <Button onClick={zip} disabled={files === 0 || done !== undefined} aria-label="Download as zip">
        <Download aria-hidden="true" />
        <span className="max-sm:sr-only">Zip, {count(files, "file")}</span>
      </Button>
      <Button look="danger" onClick={remove}>
        <Trash2 aria-hidden="true" />
        <span className="max-sm:sr-only">Delete</span>
      </Button>
      <Tooltip text="Choose none" keys="escape">
        <Button look="quiet" size="icon" aria-label="Choose none" onClick={clearSelection}>
          <X />
        </Button>
      </Tooltip>
    </div>
  );
}
