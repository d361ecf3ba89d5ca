import * as Radix from "@radix-ui/react-tooltip";
import type { ReactNode } from "react";
import { Kbd } from "./kbd";

export const TooltipProvider = ({ children }: { children: ReactNode }) => (
  <Radix.Provider delayDuration={400} skipDelayDuration={200}>
    {children}
  </Radix.Provider>
);

/** What a control does, and its key. The control needs a label of its own: a tooltip is not one. */
export function Tooltip({ text, keys, children }: { text: ReactNode; keys?: string; children: ReactNode }) {
  return (
    <Radix.Root>
      <Radix.Trigger asChild>{children}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          sideOffset={6}
          collisionPadding={8}
          className="z-60 flex max-w-72 items-center gap-2 rounded-s border border-line bg-surface px-2 py-1 text-12 text-text shadow-float"
        >
          {text}
          {keys && <Kbd keys={keys} className="text-muted" />}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
