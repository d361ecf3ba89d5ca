import { useQuery } from "@tanstack/react-query";
import { CalendarDays, ChevronDown, LayoutGrid, Search, X } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { modelList } from "@/shared/api/system";
import { useCommands } from "@/shared/lib/commands";
import { useStore } from "@/shared/lib/store";
import { Button } from "@/shared/ui/button";
import { Menu, MenuChoice } from "@/shared/ui/menu";
import { DENSITIES, density } from "./density";
import { type Chosen, NONE, SPANS, STATUSES } from "./filters";

const TYPING_MS = 250;

interface FilterBarProps {
  chosen: Chosen;
  choose: (change: Partial<Chosen>) => void;
}

/** Search, filters, size. What is active stands below as chips that take it back. */
export function FilterBar({ chosen, choose }: FilterBarProps) {
  const { data } = useQuery(modelList());
  const models = data?.items.map(({ id }) => id) ?? [];
  const known = chosen.model && !models.includes(chosen.model) ? [chosen.model, ...models] : models;
  return (
    <div className="sticky top-13 z-20 flex flex-col gap-2 bg-bg/95 px-3 py-2 backdrop-blur-sm sm:px-4">
      <div className="flex flex-wrap items-center gap-2">
        <SearchField text={chosen.q} onText={(q) => choose({ q })} />
        <Picker
          label="Status"
          value={chosen.status}
          choices={[{ value: "", label: "Any status" }, ...STATUSES]}
          onChange={(status) => choose({ status })}
        />
        <Picker
          label="Model"
          value={chosen.model}
          choices={[{ value: "", label: "Any model" }, ...known.map((id) => ({ value: id, label: id }))]}
          onChange={(model) => choose({ model })}
        />
        <Picker
          label="Date"
          icon={<CalendarDays aria-hidden="true" />}
          value={chosen.days}
          choices={[{ value: "", label: "Any time" }, ...SPANS]}
          onChange={(days) => choose({ days })}
        />
        <span className="flex-1" />
        <SizePicker />
      </div>
      <Chips chosen={chosen} choose={choose} />
    </div>
  );
}

function SearchField({ text, onText }: { text: string; onText: (text: string) => void }) {
  const [typed, setTyped] = useState(text);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => setTyped((now) => (now.trim() === text ? now : text)), [text]); // a space stays for the next word
  useEffect(() => {
    if (typed.trim() === text) return;
    const timer = setTimeout(() => onText(typed.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, text, onText]);
  useCommands([
    {
      id: "search",
      label: "Search the prompts",
      group: "History",
      keys: "/",
      run: () => field.current?.focus(),
    },
  ]);
  return (
    <label className="relative flex basis-full items-center sm:max-w-72 sm:flex-1 sm:basis-0">
      <Search aria-hidden="true" className="absolute left-3 size-4 text-muted" />
      <input
        ref={field}
        type="search"
        aria-label="Search the prompts"
        placeholder="Search prompts"
        value={typed}
        maxLength={200}
        onChange={(event) => setTyped(event.target.value)}
        className="h-9 w-full rounded-s border border-edge bg-transparent pr-3 pl-9 text-13 pointer-coarse:h-10"
      />
    </label>
  );
}

interface PickerProps<T extends string> {
  label: string;
  icon?: ReactNode;
  value: T;
  choices: readonly { value: T; label: string }[];
  onChange: (value: T) => void;
}

function Picker<T extends string>({ label, icon, value, choices, onChange }: PickerProps<T>) {
  return (
    <Menu
      align="start"
      button={
        <Button look={value ? "plain" : "quiet"} aria-label={`Filter by ${label.toLowerCase()}`}>
          {icon}
          {label}
          <ChevronDown aria-hidden="true" />
        </Button>
      }
    >
      <MenuChoice label={label} value={value} choices={[...choices]} onChange={onChange} />
    </Menu>
  );
}

function SizePicker() {
  const value = useStore(density);
  return (
    <Menu
      button={
        <Button look="quiet" size="icon" aria-label="Size of the pictures">
          <LayoutGrid />
        </Button>
      }
    >
      <MenuChoice label="Size" value={value} choices={[...DENSITIES]} onChange={density.set} />
    </Menu>
  );
}

function Chips({ chosen, choose }: FilterBarProps) {
  const chips: [keyof Chosen, string | undefined][] = [
    ["q", chosen.q && `“${chosen.q}”`],
    ["status", STATUSES.find(({ value }) => value === chosen.status)?.label],
    ["model", chosen.model],
    ["days", SPANS.find(({ value }) => value === chosen.days)?.label],
  ];
  const active = chips.filter(([, label]) => label);
  if (active.length === 0) return null;
  return (
    <ul className="flex flex-wrap gap-2" aria-label="Active filters">
      {active.map(([name, label]) => (
        <li key={name}>
          <button
            type="button"
            onClick={() => choose({ [name]: "" })}
            aria-label={`Take the filter ${label} away`}
            className="flex h-7 max-w-60 items-center gap-1.5 rounded-full bg-raised pr-2 pl-3 text-12 pointer-coarse:h-10"
          >
            <span className="truncate">{label}</span>
            <X aria-hidden="true" className="size-3.5 shrink-0" />
          </button>
        </li>
      ))}
      {active.length > 1 && (
        <li>
          <Button look="quiet" size="s" onClick={() => choose(NONE)}>
            Clear all
          </Button>
        </li>
      )}
    </ul>
  );
}
