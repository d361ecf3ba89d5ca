import { cn } from "@/shared/lib/cn";
import { keyNames } from "@/shared/lib/commands";

/** The keys of a command, as they are printed on a keyboard. */
export function Kbd({ keys, className }: { keys: string; className?: string }) {
  return (
    <span className={cn("inline-flex gap-1", className)}>
      {keyNames(keys).map((name) => (
        <kbd
          key={name}
          className="min-w-5 rounded-s border border-current/30 px-1 text-center font-sans text-12"
        >
          {name}
        </kbd>
      ))}
    </span>
  );
}
