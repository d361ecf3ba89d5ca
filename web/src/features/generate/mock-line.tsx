import { useState } from "react";
import { Button } from "@/shared/ui/button";
import { CopyButton } from "@/shared/ui/copy-button";
import { Dialog } from "@/shared/ui/dialog";

/** Says that nothing here is bought, and how to connect a provider. */
export function MockLine({ connectWith }: { connectWith: string[] }) {
  const [open, setOpen] = useState(false);
  return (
    <p className="flex items-center justify-center gap-x-1 border-line border-b px-4 py-0.5 text-12 text-muted">
      <span>
        Mock mode: pictures are drawn here<span className="hidden sm:inline"> and cost nothing</span>.
      </span>
      <Button
        look="quiet"
        size="s"
        className="text-text underline underline-offset-2"
        onClick={() => setOpen(true)}
      >
        Connect a provider
      </Button>
      <Dialog open={open} onClose={() => setOpen(false)} title="Connect a provider">
        <div className="grid gap-3 px-5 pt-2 pb-5 text-14">
          <p>
            Write one of these settings into the file <code className="font-mono text-13">.env</code> beside{" "}
            <code className="font-mono text-13">./run</code>, with your own value, and start again.
          </p>
          <ul className="grid gap-1">
            {connectWith.map((name) => (
              <li
                key={name}
                className="flex items-center justify-between rounded-s bg-raised py-1 pr-1 pl-3 font-mono text-13"
              >
                {name}=
                <CopyButton text={`${name}=`} what={name} />
              </li>
            ))}
          </ul>
          <p className="text-muted">
            <code className="font-mono text-13">./run doctor</code> checks the connection. What is stored
            stays where it is.
          </p>
        </div>
      </Dialog>
    </p>
  );
}
