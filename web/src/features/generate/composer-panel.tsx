import { ChevronDown, Link as LinkIcon, SlidersHorizontal } from "lucide-react";
import { type RefObject, useState } from "react";
import { composeLink } from "@/entities/job/actions";
import type { FieldError } from "@/shared/api/problem";
import type { Model } from "@/shared/api/system";
import { copyText } from "@/shared/lib/clipboard";
import { cn } from "@/shared/lib/cn";
import { useStore } from "@/shared/lib/store";
import { Button } from "@/shared/ui/button";
import { Kbd } from "@/shared/ui/kbd";
import { change, composer, errorOf, given, setValue, unfinished } from "./composer";
import { Control } from "./fields/control";
import { FieldFrame, INPUT } from "./fields/field";
import { ModelPicker } from "./model-picker";
import { PromptBox } from "./prompt-box";
import type { Field, Form } from "./schema";

interface ComposerPanelProps {
  isPending: boolean;
  form: Form;
  models: Model[];
  chosen: string;
  earlier: string[];
  errors: FieldError[];
  box: RefObject<HTMLTextAreaElement | null>;
  onSubmit: () => void;
}

/** The form. Wide, a column that stays; on a phone, a sheet from below that always shows the prompt. */
export function ComposerPanel(props: ComposerPanelProps) {
  const { form, errors, earlier, box, models, chosen } = props;
  const state = useStore(composer);
  const [sheet, setSheet] = useState(false);
  const general = errors.filter(({ field }) => !isShown(field, form));
  return (
    <form
      aria-label="Composer"
      data-sheet-open={sheet}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        setSheet(false);
        props.onSubmit();
      }}
      className="fixed inset-x-0 bottom-0 z-20 flex max-h-[85dvh] flex-col border-line border-t bg-bg lg:sticky lg:top-13 lg:z-0 lg:h-[calc(100dvh-52px)] lg:max-h-none lg:border-t-0 lg:border-r"
    >
      <div className="grid min-h-0 content-start gap-4 overflow-y-auto p-3 sm:p-4 lg:flex-1 lg:p-6">
        <PromptBox
          box={box}
          prompt={state.prompt}
          earlier={earlier}
          error={errorOf(errors, "prompt")}
          onChange={(prompt) => change({ prompt })}
        />
        <div className={cn("grid gap-5 lg:grid", !sheet && "hidden")}>
          <ModelPicker
            models={models}
            chosen={chosen}
            error={errorOf(errors, "model")}
            onChoose={(id) => change({ model: id })}
          />
          <Fields fields={form.main} errors={errors} />
          {!props.isPending && (form.more.length > 0 || form.open) && <More form={form} errors={errors} />}
        </div>
        {general.length > 0 && (
          <p role="alert" className="text-13 text-bad">
            {general.map(({ message }) => message).join(" ")}
          </p>
        )}
      </div>
      <div className="flex items-center gap-2 border-line px-3 pb-[max(12px,env(safe-area-inset-bottom))] sm:px-4 lg:border-t lg:px-6 lg:py-4">
        <Button size="l" aria-expanded={sheet} className="lg:hidden" onClick={() => setSheet(!sheet)}>
          <SlidersHorizontal />
          {sheet ? "Close" : "Options"}
        </Button>
        <Button type="submit" look="primary" size="l" className="flex-1">
          Generate
          <Kbd keys="mod+Enter" className="hidden lg:inline-flex" />
        </Button>
        <Button
          look="quiet"
          size="icon"
          aria-label="Copy a link to this request"
          className="hidden lg:inline-flex"
          onClick={() => copyLink(form)}
        >
          <LinkIcon />
        </Button>
      </div>
    </form>
  );
}

const isShown = (field: string, form: Form) =>
  ["prompt", "model", "extra"].includes(field) ||
  [...form.main, ...form.more].some(({ name }) => errorOf([{ field, message: " " }], { name }));

function copyLink(form: Form): void {
  void copyText(location.origin + composeLink(unfinished(composer.get(), form)), "Link");
}

function Fields({ fields, errors }: { fields: Field[]; errors: FieldError[] }) {
  const { values } = useStore(composer);
  return fields.map((field) => (
    <Control
      key={field.name}
      field={field}
      value={given(values, field.name)}
      onChange={(value) => setValue(field.name, value)}
      error={errorOf(errors, field)}
    />
  ));
}

/** The rest of what the model takes, folded away; open when something in it is wrong. */
function More({ form, errors }: { form: Form; errors: FieldError[] }) {
  const { extra } = useStore(composer);
  const [open, setOpen] = useState(false);
  const wrong = form.more.some((field) => errorOf(errors, field)) || errorOf(errors, "extra") !== undefined;
  return (
    <details open={open || wrong} onToggle={(event) => setOpen(event.currentTarget.open)} className="group">
      <summary className="flex h-9 list-none items-center gap-1 rounded-s text-13 text-muted hover:text-text pointer-coarse:h-10">
        <ChevronDown
          aria-hidden="true"
          className="-rotate-90 size-4 transition-transform group-open:rotate-0"
        />
        More
      </summary>
      <div className="grid gap-5 pt-2 pb-4">
        <Fields fields={form.more} errors={errors} />
        {form.open && (
          <FieldFrame
            title="Other parameters (JSON)"
            help="What the model takes and its form does not show."
            error={errorOf(errors, "extra")}
          >
            {(ids) => (
              <textarea
                {...ids}
                spellCheck={false}
                placeholder="{}"
                value={extra}
                onChange={(event) => change({ extra: event.target.value })}
                className={`${INPUT} field-sizing-content h-auto min-h-9 py-2 font-mono text-12`}
              />
            )}
          </FieldFrame>
        )}
      </div>
    </details>
  );
}
