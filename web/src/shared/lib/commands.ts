import { useEffect, useRef } from "react";
import { createStore } from "./store";

/** What a person can do here, by key, by the palette, or both. */
export interface Command {
  id: string;
  label: string;
  group: string;
  /** As `KeyboardEvent.key`, lower case, with "mod+" for Ctrl or Cmd: "g", "?", "mod+k". */
  keys?: string;
  /** Whether the key works while a text field has the focus; those with "mod+" do, unless this says no. */
  inFields?: boolean;
  /** Whether the key works while a dialog is open; those with "mod+" do, unless this says no. */
  inDialogs?: boolean;
  /** Left out of the palette, as what makes sense by key only. */
  keyOnly?: boolean;
  run: () => void;
}

/** All commands of what is on the screen; the newest first. */
export const commands = createStore<Command[]>([]);

/** Offer these commands while the component is on the screen. Their `run` may change at every render. */
export function useCommands(offered: Command[]): void {
  const latest = useRef(offered);
  useEffect(() => {
    latest.current = offered;
  });
  const shape = JSON.stringify(offered.map(({ run: _, ...command }) => command));
  useEffect(() => {
    const mine = latest.current.map((command, index) => ({
      ...command,
      ...(JSON.parse(shape)[index] as object),
      run: () => latest.current.find(({ id }) => id === command.id)?.run(),
    }));
    commands.set((all) => [...mine, ...all]);
    return () =>
      commands.set((all) => all.filter((command) => !mine.includes(command as (typeof mine)[number])));
  }, [shape]);
}

function isField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return (
    target.isContentEditable ||
    target.matches("textarea, select, input:not([type=radio], [type=checkbox], [type=range])")
  );
}

/** Run the command of a pressed key, if there is one. */
export function press(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.repeat || event.isComposing || event.altKey) return;
  const mod = event.ctrlKey || event.metaKey;
  const pressed = (mod ? "mod+" : "") + event.key.toLowerCase();
  const found = commands.get().find(({ keys }) => keys === pressed);
  if (!found) return;
  const modal = document.querySelector('[role="dialog"][data-state="open"]');
  if (isField(event.target) && !(found.inFields ?? mod)) return;
  if (modal && !(found.inDialogs ?? mod)) return;
  event.preventDefault();
  found.run();
}

const isMac = () => /Mac|iPhone|iPad/.test(navigator.platform);

/** How a key is written for people: "⌘ K", "Ctrl K", "G". */
export function keyNames(keys: string): string[] {
  return keys.split("+").map((part) => {
    if (part === "mod") return isMac() ? "⌘" : "Ctrl";
    if (part.startsWith("arrow"))
      return { arrowleft: "←", arrowright: "→", arrowup: "↑", arrowdown: "↓" }[part] ?? part;
    if (part === "escape") return "Esc";
    return part.length === 1 ? part.toUpperCase() : part.charAt(0).toUpperCase() + part.slice(1);
  });
}
