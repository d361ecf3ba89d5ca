import * as Radix from "@radix-ui/react-dialog";
import { useQuery } from "@tanstack/react-query";
import { ChevronLeft, ChevronRight, Info, X } from "lucide-react";
import { useEffect } from "react";
import { useNavigate } from "react-router";
import { composeLink, useJobActions } from "@/entities/job/actions";
import { saveFiles } from "@/entities/job/download";
import { JobPanel } from "@/entities/job/panel";
import { Print } from "@/entities/job/print";
import { ratioOf } from "@/entities/job/shape";
import { statusWords } from "@/entities/job/words";
import { atWork, type Job, jobDetail } from "@/shared/api/jobs";
import { modelList } from "@/shared/api/system";
import { useCommands } from "@/shared/lib/commands";
import { createStoredStore } from "@/shared/lib/storage";
import { useStore } from "@/shared/lib/store";
import { toast } from "@/shared/lib/toast";
import { Button } from "@/shared/ui/button";
import { DialogContent } from "@/shared/ui/dialog";
import { Tooltip } from "@/shared/ui/tooltip";
import { around, type Frame } from "./frames";

const panel = createStoredStore("details", false);

interface LightboxProps {
  jobs: Job[];
  frame: Frame;
  onShow: (frame: Frame) => void;
  onClose: () => void;
}

/** One picture on black; all else is one key away. */
export function Lightbox({ jobs, frame, onShow, onClose }: LightboxProps) {
  const listed = jobs.find(({ id }) => id === frame.id);
  const { data: detail, error } = useQuery(jobDetail(frame.id));
  const job = detail ?? listed;
  const open = useStore(panel);
  const { before, after } = around(jobs, frame);
  usePreload(jobs, [before, after]);
  useCommands([
    {
      id: "before",
      label: "Picture before",
      group: "Picture",
      keys: "arrowleft",
      inDialogs: true,
      run: () => before && onShow(before),
    },
    {
      id: "after",
      label: "Next picture",
      group: "Picture",
      keys: "arrowright",
      inDialogs: true,
      run: () => after && onShow(after),
    },
    {
      id: "info",
      label: "Show or hide the details",
      group: "Picture",
      keys: "i",
      inDialogs: true,
      run: () => panel.set((shown) => !shown),
    },
  ]);
  useJobKeys(job, onClose);
  const free = useQuery(modelList()).data?.mock_mode ?? false;
  const navigate = useNavigate();
  return (
    <Radix.Root open onOpenChange={(opened) => !opened && onClose()}>
      <Radix.Portal>
        <DialogContent
          aria-describedby={undefined}
          data-modal=""
          onOpenAutoFocus={(event) => {
            event.preventDefault(); // a focused button would show its tooltip over the picture
            (event.currentTarget as HTMLElement).focus();
          }}
          className="fixed inset-0 z-40 flex flex-col bg-bg outline-none md:flex-row"
        >
          <Radix.Title className="sr-only">{job?.prompt ?? "Picture"}</Radix.Title>
          <div className="relative flex min-h-0 flex-1 flex-col bg-room text-veil-ink">
            <header className="flex items-center gap-1 p-2">
              <span className="flex-1 truncate px-2 text-13">{job && statusWords(job)}</span>
              <Tooltip text="Details" keys="i">
                <Button
                  look="veil"
                  size="icon"
                  aria-label="Details"
                  aria-pressed={open}
                  onClick={() => panel.set(!open)}
                >
                  <Info />
                </Button>
              </Tooltip>
              <Tooltip text="Close" keys="escape">
                <Button look="veil" size="icon" aria-label="Close" onClick={onClose}>
                  <X />
                </Button>
              </Tooltip>
            </header>
            <Stage job={job} number={frame.number} missing={error?.message} />
            <Turn side="left" to={before} onShow={onShow} />
            <Turn side="right" to={after} onShow={onShow} />
          </div>
          {open && detail && (
            <aside className="max-h-[50dvh] w-full overflow-auto border-line border-t md:max-h-none md:w-96 md:border-t-0 md:border-l px-5 py-4">
              <JobPanel
                job={detail}
                free={free}
                onRetried={({ id }) => navigate(`/jobs/${id}`)}
                onDeleted={onClose}
              />
            </aside>
          )}
        </DialogContent>
      </Radix.Portal>
    </Radix.Root>
  );
}

/** What the keys do with the job that is shown. */
function useJobKeys(job: Job | undefined, onGone: () => void): void {
  const navigate = useNavigate();
  const { removeJob } = useJobActions();
  function remove(): void {
    if (!job || atWork(job)) {
      toast("It is at work: cancel it first");
    } else {
      removeJob(job);
      onGone();
    }
  }
  const group = "Picture";
  useCommands([
    {
      id: "use",
      label: "Use it again in the form",
      group,
      keys: "r",
      inDialogs: true,
      run: () => job && navigate(composeLink(job)),
    },
    { id: "save", label: "Download", group, keys: "d", inDialogs: true, run: () => job && saveFiles(job) },
    { id: "remove", label: "Delete", group, keys: "delete", inDialogs: true, run: remove },
  ]);
}

function Stage({ job, number, missing }: { job?: Job; number: number; missing?: string }) {
  if (!job) return <p className="m-auto px-6 text-center text-14">{missing ?? ""}</p>;
  const artifact = job.artifacts[number];
  const ratio = artifact?.width && artifact.height ? artifact.width / artifact.height : ratioOf(job);
  return (
    <div className="grid min-h-0 flex-1 place-items-center p-2 [container-type:size] md:px-16 md:pb-6">
      <div
        className="relative max-h-full max-w-full overflow-hidden"
        style={{ aspectRatio: ratio, width: `min(100cqw, calc(100cqh * ${ratio}))` }}
      >
        <Print key={`${job.id} ${number}`} job={job} artifact={artifact} className="bg-transparent" />
        {job.status === "failed" && (
          <p className="absolute inset-0 grid place-items-center p-6 text-center text-14">
            {job.error_message}
          </p>
        )}
      </div>
    </div>
  );
}

function Turn({ side, to, onShow }: { side: "left" | "right"; to?: Frame; onShow: (frame: Frame) => void }) {
  const Icon = side === "left" ? ChevronLeft : ChevronRight;
  return (
    to && (
      <Button
        look="veil"
        size="icon"
        aria-label={side === "left" ? "Picture before" : "Next picture"}
        onClick={() => onShow(to)}
        className={`absolute top-1/2 -translate-y-1/2 ${side === "left" ? "left-2" : "right-2"}`}
      >
        <Icon />
      </Button>
    )
  );
}

/** Fetch the pictures that come next, so that they are there when a key asks for them. */
function usePreload(jobs: Job[], frames: (Frame | undefined)[]): void {
  const addresses = frames.map((frame) => {
    const artifact = frame && jobs.find(({ id }) => id === frame.id)?.artifacts[frame.number];
    return artifact?.kind === "image" ? artifact.url : undefined;
  });
  const key = addresses.filter(Boolean).join(" ");
  useEffect(() => {
    for (const address of key ? key.split(" ") : []) new Image().src = address;
  }, [key]);
}
