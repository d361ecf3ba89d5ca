import { type ReactNode, useId } from "react";
import type { Field } from "@/features/generate/schema";
import { cn } from "@/shared/lib/cn";

export interface ControlProps {
  field: Field;
  /** Undefined: the model's own default. */
  value: unknown;
  onChange: (value: unknown) => void;
  error?: string;
}

export const INPUT =
  "h-9 w-full min-w-0 rounded-s border border-edge bg-bg px-3 text-13 pointer-coarse:h-10 pointer-coarse:text-16 aria-invalid:border-bad";

interface FieldFrameProps {
  title: string;
  help?: string;
  error?: string;
  side?: ReactNode;
  /** A group of radio buttons gets a legend, a single control a label. */
  group?: boolean;
  children: (ids: { id: string; "aria-describedby"?: string; "aria-invalid"?: true }) => ReactNode;
}

/** A control with its name above it, and what is wrong with it below. */
export function FieldFrame({ title, help, error, side, group, children }: FieldFrameProps) {
  const id = useId();
  const about = error ? `${id}-error` : help ? `${id}-help` : undefined;
  const ids = {
    id,
    ...(about && { "aria-describedby": about }),
    ...(error && { "aria-invalid": true as const }),
  };
  const Box = group ? "fieldset" : "div";
  return (
    <Box className="grid min-w-0 gap-1.5" {...(group && { ...ids, role: "radiogroup" })}>
      {group ? (
        <legend className="pb-1.5 text-12 text-muted">{title}</legend>
      ) : (
        <div className="flex min-h-4 items-center justify-between">
          <label htmlFor={id} className="text-12 text-muted">
            {title}
          </label>
          {side}
        </div>
      )}
      {children(ids)}
      {error ? (
        <p id={`${id}-error`} className="text-12 text-bad">
          {error}
        </p>
      ) : (
        help && (
          <p id={`${id}-help`} className={cn("text-12 text-muted")}>
            {help}
          </p>
        )
      )}
    </Box>
  );
}
