import { useId } from "react";
import { cn } from "@/shared/lib/cn";
import { type ControlProps, FieldFrame } from "./field";

const RATIO = /^(\d{1,4}):(\d{1,4})$/;
const GLYPH = 16; // pixels, the longer side

/** A few choices side by side; shapes show as what they are. */
export function Chips({ field, value, onChange, error }: ControlProps) {
  const name = useId();
  const chosen = value === undefined || value === "" ? field.usual : value;
  return (
    <FieldFrame title={field.title} error={error} group>
      {() => (
        <div className="grid grid-cols-[repeat(auto-fill,minmax(80px,1fr))] gap-1">
          {field.choices.map((choice) => (
            <label
              key={choice}
              className={cn(
                "flex h-9 items-center whitespace-nowrap justify-center gap-2 rounded-s border border-transparent px-2 text-13 text-muted transition-colors hover:bg-raised pointer-coarse:h-10",
                "has-checked:border-edge has-checked:bg-raised has-checked:text-text has-focus-visible:outline-2 has-focus-visible:outline-ring has-focus-visible:outline-offset-2",
              )}
            >
              <input
                type="radio"
                name={name}
                value={choice}
                checked={choice === chosen}
                onChange={() => onChange(choice)}
                onClick={() => choice === value && choice !== field.usual && onChange(undefined)}
                className="sr-only"
              />
              <Glyph shape={String(choice)} />
              {choice}
            </label>
          ))}
        </div>
      )}
    </FieldFrame>
  );
}

function Glyph({ shape }: { shape: string }) {
  const [, across, down] = RATIO.exec(shape) ?? [];
  if (!across || !down) return null;
  const ratio = Number(across) / Number(down);
  const size = { width: GLYPH * Math.min(1, ratio), height: GLYPH / Math.max(1, ratio) };
  return <span aria-hidden="true" className="shrink-0 rounded-[2px] border border-current" style={size} />;
}
