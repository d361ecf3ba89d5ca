import * as Radix from "@radix-ui/react-dialog";
import { X } from "lucide-react";
import { type ComponentProps, type ReactNode, useState } from "react";
import { cn } from "@/shared/lib/cn";
import { Button } from "./button";

interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  /** Whether the title is for screen readers only. */
  quiet?: boolean;
  className?: string;
  children: ReactNode;
}

/** What lies in a dialog. Gives the focus back at the end: Radix does so for triggers of its own only. */
export function DialogContent(props: ComponentProps<typeof Radix.Content>) {
  const [before] = useState(() => document.activeElement);
  return (
    <Radix.Content
      {...props}
      onCloseAutoFocus={(event) => {
        event.preventDefault();
        const free = document.activeElement === document.body;
        if (free && before instanceof HTMLElement) before.focus({ preventScroll: true });
      }}
    />
  );
}

/** A window over the page. The backdrop is ours, as Radix's injects a style element, which our policy forbids. */
export function Dialog({ open, onClose, title, quiet, className, children }: DialogProps) {
  return (
    <Radix.Root open={open} onOpenChange={(opened) => !opened && onClose()}>
      <Radix.Portal>
        <div data-modal="" aria-hidden="true" className="fixed inset-0 z-40 bg-veil" />
        <DialogContent
          aria-describedby={undefined}
          className={cn(
            "fixed inset-x-4 top-[12dvh] z-50 mx-auto max-h-[76dvh] max-w-lg animate-rise overflow-auto rounded-l border border-line bg-surface shadow-float outline-none",
            className,
          )}
        >
          <div className={cn("flex items-center justify-between gap-4 px-5 pt-4", quiet && "sr-only")}>
            <Radix.Title className="font-semibold text-16">{title}</Radix.Title>
            {!quiet && (
              <Button look="quiet" size="icon-s" aria-label="Close" onClick={onClose}>
                <X />
              </Button>
            )}
          </div>
          {children}
        </DialogContent>
      </Radix.Portal>
    </Radix.Root>
  );
}
