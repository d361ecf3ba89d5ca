import * as Slider from "@radix-ui/react-slider";
import { Dices, X } from "lucide-react";
import { type ComponentProps, useId } from "react";
import { numberIn } from "@/features/generate/composer";
import { cn } from "@/shared/lib/cn";
import { Button } from "@/shared/ui/button";
import { Tooltip } from "@/shared/ui/tooltip";
import { type ControlProps, FieldFrame, INPUT } from "./field";

const SEEDS = 2 ** 31;
const STEPS = 100; // of a slider over fractions

/** A number that was typed. What is none, or not yet, as "1.", stays text. */
function typed(text: string): unknown {
  if (text.trim() === "") return undefined;
  return String(Number(text)) === text && Number.isFinite(Number(text)) ? Number(text) : text;
}

const shown = (value: unknown) => (value === undefined || value === null ? "" : String(value));

type NumberInputProps = Omit<ComponentProps<"input">, "value" | "onChange"> &
  Pick<ControlProps, "value" | "onChange">;

/** Takes decimals and minus signs as they are typed, which `type="number"` does not. */
function NumberInput({ value, onChange, className, ...rest }: NumberInputProps) {
  return (
    <input
      inputMode="decimal"
      autoComplete="off"
      value={shown(value)}
      onChange={(event) => onChange(typed(event.target.value))}
      className={cn(INPUT, className)}
      {...rest}
    />
  );
}

export function SeedControl({ field, value, onChange, error }: ControlProps) {
  const roll = () => onChange(Math.floor(Math.random() * Math.min(SEEDS, (field.max ?? SEEDS) + 1)));
  return (
    <FieldFrame title={field.title} error={error}>
      {(ids) => (
        <div className="flex gap-1">
          <NumberInput
            {...ids}
            {...{ value, onChange }}
            inputMode="numeric"
            placeholder="Another one each time"
          />
          <Tooltip text="Roll a seed and keep it">
            <Button look="quiet" size="icon" aria-label="Roll a seed and keep it" onClick={roll}>
              <Dices />
            </Button>
          </Tooltip>
          {value !== undefined && (
            <Button
              look="quiet"
              size="icon"
              aria-label="Another seed each time"
              onClick={() => onChange(undefined)}
            >
              <X />
            </Button>
          )}
        </div>
      )}
    </FieldFrame>
  );
}

export function RangeControl({ field, value, onChange, error }: ControlProps) {
  const { min = 0, max = 1 } = field;
  const step = field.whole ? 1 : Number(((max - min) / STEPS).toPrecision(1));
  const position = [value, field.usual].map(numberIn).find((one) => typeof one === "number") ?? min;
  return (
    <FieldFrame title={field.title} help={field.description} error={error}>
      {(ids) => (
        <div className="flex items-center gap-3">
          <Slider.Root
            min={min}
            max={max}
            step={step}
            value={[Math.min(max, Math.max(min, position))]}
            onValueChange={([next]) => onChange(next)}
            className="relative flex h-9 flex-1 touch-none items-center"
          >
            <Slider.Track className="relative h-1 flex-1 rounded-full bg-line">
              <Slider.Range className="absolute h-full rounded-full bg-edge" />
            </Slider.Track>
            <Slider.Thumb aria-label={field.title} className="block size-4 rounded-full bg-text" />
          </Slider.Root>
          <NumberInput
            {...ids}
            {...{ value, onChange }}
            placeholder={shown(field.usual) || "auto"}
            className="w-20 shrink-0"
          />
        </div>
      )}
    </FieldFrame>
  );
}

export function NumberControl({ field, value, onChange, error }: ControlProps) {
  return (
    <FieldFrame title={field.title} help={field.description} error={error}>
      {(ids) => <NumberInput {...ids} {...{ value, onChange }} placeholder={shown(field.usual)} />}
    </FieldFrame>
  );
}

export function TextControl({ field, value, onChange, error }: ControlProps) {
  return (
    <FieldFrame title={field.title} help={field.description} error={error}>
      {(ids) => (
        <textarea
          {...ids}
          dir="auto"
          rows={1}
          placeholder={shown(field.usual)}
          value={shown(value)}
          onChange={(event) => onChange(event.target.value)}
          className={`${INPUT} field-sizing-content h-auto max-h-40 resize-none py-2`}
        />
      )}
    </FieldFrame>
  );
}

export function ChoiceControl({ field, value, onChange, error }: ControlProps) {
  const strange = value === undefined || value === "" ? [] : [value as string]; // what is sent is what is shown
  const choices = [...new Set([...field.choices, ...strange])];
  const pick = (text: string) => onChange(choices.find((choice) => String(choice) === text));
  return (
    <FieldFrame title={field.title} help={field.description} error={error}>
      {(ids) => (
        <select
          {...ids}
          value={shown(value ?? field.usual)}
          onChange={(event) => pick(event.target.value)}
          className={INPUT}
        >
          {field.usual === undefined && <option value="">Auto</option>}
          {choices.map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      )}
    </FieldFrame>
  );
}

export function SwitchControl({ field, value, onChange, error }: ControlProps) {
  const about = useId();
  return (
    <div className="grid gap-1">
      <label className="flex min-h-9 items-center gap-2 text-13">
        <input
          type="checkbox"
          aria-describedby={about}
          aria-invalid={error ? true : undefined}
          checked={Boolean(value ?? field.usual)}
          onChange={(event) => onChange(event.target.checked)}
          className="size-4 accent-(--accent)"
        />
        {field.title}
      </label>
      <p id={about} className={error ? "text-12 text-bad" : "text-12 text-muted"}>
        {error ?? field.description}
      </p>
    </div>
  );
}

export function JsonControl({ field, value, onChange, error }: ControlProps) {
  const text = typeof value === "string" || value === undefined ? (value ?? "") : JSON.stringify(value);
  const take = (written: string) => {
    try {
      onChange(JSON.parse(written));
    } catch {
      onChange(written || undefined);
    }
  };
  return (
    <FieldFrame title={`${field.title} (JSON)`} help={field.description} error={error}>
      {(ids) => (
        <textarea
          {...ids}
          spellCheck={false}
          value={text}
          placeholder={field.usual === undefined ? "" : JSON.stringify(field.usual)}
          onChange={(event) => take(event.target.value)}
          className={`${INPUT} field-sizing-content h-auto min-h-16 py-2 font-mono text-12`}
        />
      )}
    </FieldFrame>
  );
}
