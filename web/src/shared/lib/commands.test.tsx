import { fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Command, commands, keyNames, press, useCommands } from "./commands";

const Offer = ({ all }: { all: Partial<Command>[] }) => {
  useCommands(all.map((part) => ({ id: "one", label: "One", group: "All", run: () => {}, ...part })));
  return null;
};

beforeEach(() => addEventListener("keydown", press));
afterEach(() => removeEventListener("keydown", press));

/** Press a key; return whether something took it. */
const hit = (key: string, more: KeyboardEventInit = {}, target: Element = document.body) =>
  !fireEvent.keyDown(target, { key, ...more });

describe("a key", () => {
  it("runs its command, with Ctrl or Cmd if it says so", () => {
    const [plain, mod] = [vi.fn(), vi.fn()];
    render(
      <Offer
        all={[
          { keys: "k", run: plain },
          { id: "mod", keys: "mod+k", run: mod },
        ]}
      />,
    );
    expect([hit("k"), hit("K", { ctrlKey: true }), hit("k", { metaKey: true })]).toEqual([true, true, true]);
    expect([plain.mock.calls.length, mod.mock.calls.length]).toEqual([1, 2]);
  });

  it("is left to the browser when nothing wants it", () => {
    render(<Offer all={[{ keys: "k" }]} />);
    expect([hit("q"), hit("k", { altKey: true }), hit("k", { repeat: true })]).toEqual([false, false, false]);
    expect(hit("k", { isComposing: true })).toBe(false);
  });

  it("does what the newest on the screen says, and again what was there before", () => {
    const [page, dialog] = [vi.fn(), vi.fn()];
    const Page = ({ open = false }) => (
      <>
        <Offer all={[{ keys: "d", run: page }]} />
        {open && <Offer all={[{ keys: "d", run: dialog }]} />}
      </>
    );
    const { rerender } = render(<Page />);
    rerender(<Page open />);
    hit("d");
    rerender(<Page />);
    hit("d");
    expect([dialog.mock.calls.length, page.mock.calls.length]).toEqual([1, 1]);
  });

  it("runs what the command is now, not what it was at first", () => {
    const [first, second] = [vi.fn(), vi.fn()];
    const { rerender } = render(<Offer all={[{ keys: "d", run: first }]} />);
    rerender(<Offer all={[{ keys: "d", run: second }]} />);
    hit("d");
    expect([first.mock.calls.length, second.mock.calls.length]).toEqual([0, 1]);
  });

  it("is gone with its component", () => {
    render(<Offer all={[{ keys: "d" }]} />).unmount();
    expect(hit("d")).toBe(false);
    expect(commands.get()).toEqual([]);
  });
});

describe("while somebody types", () => {
  it.each(["textarea", "select", "input"])("in a %s, letters are letters", (Tag) => {
    render(
      <>
        <Offer
          all={[{ keys: "d" }, { id: "in", keys: "escape", inFields: true }, { id: "mod", keys: "mod+k" }]}
        />
        <Tag aria-label="Field" />
      </>,
    );
    const field = screen.getByLabelText("Field");
    expect(hit("d", {}, field)).toBe(false);
    expect([hit("Escape", {}, field), hit("k", { ctrlKey: true }, field)]).toEqual([true, true]);
  });

  it.each(["radio", "checkbox"])("a %s takes no letters", (type) => {
    render(
      <>
        <Offer all={[{ keys: "d" }]} />
        <input aria-label="Field" type={type} />
      </>,
    );
    expect(hit("d", {}, screen.getByLabelText("Field"))).toBe(true);
  });

  it("Ctrl+A can stay with the text", () => {
    render(
      <>
        <Offer all={[{ keys: "mod+a", inFields: false }]} />
        <input aria-label="Field" />
      </>,
    );
    expect(hit("a", { ctrlKey: true }, screen.getByLabelText("Field"))).toBe(false);
    expect(hit("a", { ctrlKey: true })).toBe(true);
  });
});

describe("while a dialog is open", () => {
  const dialog = (
    <div role="dialog" data-state="open">
      <input aria-label="Field" />
    </div>
  );

  it("only what belongs to it runs", () => {
    render(
      <>
        {dialog}
        <Offer
          all={[
            { id: "page", keys: "d" },
            { id: "own", keys: "i", inDialogs: true },
            { id: "all", keys: "mod+a", inDialogs: false },
            { id: "palette", keys: "mod+k" },
          ]}
        />
      </>,
    );
    expect([hit("d"), hit("a", { ctrlKey: true })]).toEqual([false, false]);
    expect([hit("i"), hit("k", { ctrlKey: true })]).toEqual([true, true]);
  });

  it("what belongs to it leaves its text fields alone", () => {
    render(
      <>
        {dialog}
        <Offer all={[{ keys: "delete", inDialogs: true }]} />
      </>,
    );
    expect(hit("Delete", {}, screen.getByLabelText("Field"))).toBe(false);
  });
});

describe("how keys are written", () => {
  it.each([
    ["g", ["G"]],
    ["mod+k", ["Ctrl", "K"]],
    ["arrowleft", ["←"]],
    ["escape", ["Esc"]],
    ["mod+enter", ["Ctrl", "Enter"]],
  ])("%s", (keys, names) => {
    expect(keyNames(keys)).toEqual(names);
  });

  it("on a Mac", () => {
    vi.spyOn(navigator, "platform", "get").mockReturnValue("MacIntel");
    expect(keyNames("mod+k")).toEqual(["⌘", "K"]);
  });
});
