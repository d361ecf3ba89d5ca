import * as Popover from "@radix-ui/react-popover";
import { useQuery } from "@tanstack/react-query";
import { Check, ChevronsUpDown } from "lucide-react";
import { useId, useState } from "react";
import { api, data } from "@/shared/api/client";
import { jobKeys } from "@/shared/api/jobs";
import type { Model } from "@/shared/api/system";
import { cn } from "@/shared/lib/cn";
import { sentence, span } from "@/shared/lib/format";
import { INPUT } from "./fields/field";

const NAME = /^[\w.-]+\/[\w.-]+(:[\w.-]+)?$/;

interface ModelPickerProps {
  models: Model[];
  /** The chosen one's id, known or not. */
  chosen: string;
  error?: string;
  onChoose: (id: string) => void;
}

/** Which model makes it: those that are known, or any that a provider may know by its name. */
export function ModelPicker({ models, chosen, error, onChoose }: ModelPickerProps) {
  const [open, setOpen] = useState(false);
  const wrong = useId();
  const model = models.find(({ id }) => id === chosen);
  const choose = (id: string) => {
    onChoose(id);
    setOpen(false);
  };
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Trigger asChild>
        <button
          type="button"
          aria-label={`Model: ${chosen}`}
          aria-describedby={error && wrong}
          className="flex h-9 w-full min-w-0 items-center gap-2 rounded-s border border-edge px-3 text-left text-13 transition-colors hover:bg-raised pointer-coarse:h-10"
        >
          <span className="truncate">{chosen || "No model"}</span>
          <span className="flex-1 truncate text-12 text-muted">
            {model ? timeOf(model) : models.length > 0 && chosen && "not listed here"}
          </span>
          <ChevronsUpDown aria-hidden="true" className="size-4 text-muted" />
        </button>
      </Popover.Trigger>
      {error && (
        <p id={wrong} className="pt-1 text-12 text-bad">
          {error}
        </p>
      )}
      <Popover.Portal>
        <Popover.Content
          align="start"
          sideOffset={6}
          collisionPadding={8}
          aria-label="Models"
          className="z-50 w-[min(400px,calc(100vw-16px))] animate-rise rounded-m border border-line bg-surface p-1 shadow-float"
        >
          <ModelList models={models} chosen={chosen} onChoose={choose} />
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

const timeOf = ({ typical_s: seconds }: Model) => (seconds ? `usually ${span(seconds * 1000)}` : "");

function ModelList({ models, chosen, onChoose }: Omit<ModelPickerProps, "error">) {
  const [text, setText] = useState("");
  const found = models.filter(({ id }) => id.toLowerCase().includes(text.trim().toLowerCase()));
  const own = text.trim();
  return (
    <>
      <input
        aria-label="Find a model, or name one"
        placeholder="Find a model, or name one: owner/name"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) =>
          event.key === "Enter" && (found[0] || NAME.test(own)) && onChoose(found[0]?.id ?? own)
        }
        className={`${INPUT} mb-1 border-transparent bg-transparent`}
      />
      <ul className="max-h-80 overflow-auto">
        {found.map((model) => (
          <li key={model.id}>
            <ModelRow model={model} chosen={model.id === chosen} onChoose={() => onChoose(model.id)} />
          </li>
        ))}
        {found.length === 0 && (
          <li>
            <button
              type="button"
              disabled={!NAME.test(own)}
              onClick={() => onChoose(own)}
              className="w-full rounded-s p-2 text-left text-13 hover:not-disabled:bg-raised disabled:text-muted"
            >
              {NAME.test(own) ? `Use ${own}` : "No model of that name is listed. Write it as owner/name."}
            </button>
          </li>
        )}
      </ul>
    </>
  );
}

function ModelRow({ model, chosen, onChoose }: { model: Model; chosen: boolean; onChoose: () => void }) {
  return (
    <button
      type="button"
      aria-pressed={chosen}
      onClick={onChoose}
      className={cn(
        "flex w-full items-center gap-3 rounded-s p-2 text-left hover:bg-raised",
        chosen && "bg-raised",
      )}
    >
      <Example model={model.id} />
      <span className="min-w-0 flex-1">
        <span className="block truncate text-13">{model.id}</span>
        <span className="line-clamp-2 text-12 text-muted">{model.description}</span>
        <span className="block text-12 text-muted">
          {[sentence(model.provider), timeOf(model)].filter(Boolean).join(" · ")}
        </span>
      </span>
      {chosen && <Check aria-hidden="true" className="size-4 text-lit" />}
    </button>
  );
}

/** The last picture that the model made here. */
function Example({ model }: { model: string }) {
  const filters = { model, status: "completed" as const };
  const { data: page } = useQuery({
    queryKey: [...jobKeys.all, "example", model],
    queryFn: ({ signal }) =>
      data(api.GET("/api/v1/jobs", { params: { query: { ...filters, limit: 1 } }, signal })),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const address = page?.items[0]?.artifacts[0]?.thumbnail_url;
  return (
    <span className="size-12 shrink-0 overflow-hidden rounded-s bg-paper">
      {address && <img src={address} alt="" className="size-full object-cover" />}
    </span>
  );
}
