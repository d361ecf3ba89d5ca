import * as Radix from "@radix-ui/react-toast";
import { X } from "lucide-react";
import { useStore } from "@/shared/lib/store";
import { dropToast, toasts } from "@/shared/lib/toast";
import { Button } from "./button";

const STAY_MS = { plain: 5000, bad: 10_000 };

export function Toasts() {
  return (
    <Radix.Provider label="Notification" swipeDirection="right">
      {useStore(toasts).map((shown) => (
        <Radix.Root
          key={shown.id}
          duration={shown.stayMs ?? STAY_MS[shown.tone]}
          onOpenChange={(open) => !open && dropToast(shown.id)}
          className="flex animate-rise items-center gap-3 rounded-m border border-line bg-surface py-2 pr-2 pl-4 text-13 shadow-float"
        >
          <Radix.Description className={shown.tone === "bad" ? "flex-1 text-bad" : "flex-1"}>
            {shown.text}
          </Radix.Description>
          {shown.action && (
            <Radix.Action asChild altText={shown.action.label}>
              <Button size="s" onClick={shown.action.run}>
                {shown.action.label}
              </Button>
            </Radix.Action>
          )}
          <Radix.Close asChild>
            <Button look="quiet" size="icon-s" aria-label="Close">
              <X />
            </Button>
          </Radix.Close>
        </Radix.Root>
      ))}
      <Radix.Viewport className="fixed right-4 bottom-4 z-60 flex w-[min(380px,calc(100vw-32px))] flex-col gap-2 outline-none" />
    </Radix.Provider>
  );
}
