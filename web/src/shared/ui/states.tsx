import type { ReactNode } from "react";
import { Button } from "./button";

/** What stands where a list or a page has nothing, or could not be had: one sentence, one action. */
export function Notice({
  title,
  children,
  action,
}: {
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className="mx-auto flex max-w-md flex-col items-center gap-3 px-6 py-24 text-center">
      <h1 className="font-semibold text-20">{title}</h1>
      {children && <p className="text-14 text-muted">{children}</p>}
      {action}
    </div>
  );
}

export function Failure({ error, onRetry }: { error: Error; onRetry: () => void }) {
  return (
    <Notice title="This could not be loaded" action={<Button onClick={onRetry}>Try again</Button>}>
      {error.message}
    </Notice>
  );
}

/** A quiet block in the shape of what is coming. */
export const Skeleton = ({ className = "", ratio }: { className?: string; ratio?: number }) => (
  <div aria-hidden="true" className={`rounded-s bg-raised ${className}`} style={{ aspectRatio: ratio }} />
);
