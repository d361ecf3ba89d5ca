import { act, fireEvent, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { toast, toasts } from "@/shared/lib/toast";
import { CopyButton } from "./copy-button";
import { Dialog } from "./dialog";
import { Menu, MenuChoice, MenuItem } from "./menu";
import { Toasts } from "./toasts";

const user = userEvent.setup({ delay: null });
const button = (name: string) => screen.getByRole("button", { name });

describe("a dialog", () => {
  function Page() {
    const [open, setOpen] = useState(false);
    return (
      <>
        <button type="button" onClick={() => setOpen(true)}>
          Open
        </button>
        <Dialog open={open} onClose={() => setOpen(false)} title="Keys">
          <input aria-label="Inside" />
        </Dialog>
      </>
    );
  }

  it("has its title for a name, and takes the focus", async () => {
    render(<Page />);
    await user.click(button("Open"));
    expect(screen.getByRole("dialog", { name: "Keys" }).contains(document.activeElement)).toBe(true);
    expect(screen.queryByRole("button", { name: "Open" })).toBeNull(); // the page behind is out of reach
  });

  it("closes by Escape and by its button, and gives the focus back", async () => {
    render(<Page />);
    for (const close of [() => user.keyboard("{Escape}"), () => user.click(button("Close"))]) {
      await user.click(button("Open"));
      await close();
      expect(screen.queryByRole("dialog")).toBeNull();
      await waitFor(() => expect(document.activeElement).toBe(button("Open")));
    }
  });

  it("keeps the focus inside", async () => {
    render(<Page />);
    await user.click(button("Open"));
    for (let presses = 0; presses < 4; presses += 1) {
      await user.tab();
      expect(screen.getByRole("dialog").contains(document.activeElement)).toBe(true);
    }
  });
});

describe("a menu", () => {
  it("is worked by keys", async () => {
    const [first, second] = [vi.fn(), vi.fn()];
    render(
      <Menu button={<button type="button">More</button>}>
        <MenuItem onSelect={first} disabled>
          Never
        </MenuItem>
        <MenuItem onSelect={second}>Delete</MenuItem>
      </Menu>,
    );
    button("More").focus();
    await user.keyboard("{Enter}{ArrowDown}{Enter}");
    expect([first.mock.calls.length, second.mock.calls.length]).toEqual([0, 1]);
    expect(screen.queryByRole("menu")).toBeNull();
  });

  it("shows what is chosen, and tells what is chosen next", async () => {
    const change = vi.fn();
    const choices = ["small", "large"].map((value) => ({ value, label: value }));
    render(
      <Menu button={<button type="button">Size</button>}>
        <MenuChoice label="Size" value="small" choices={choices} onChange={change} />
      </Menu>,
    );
    await user.click(button("Size"));
    expect(screen.getByRole("menuitemradio", { checked: true }).textContent).toBe("small");
    await user.click(screen.getByRole("menuitemradio", { name: "large" }));
    expect(change).toHaveBeenCalledWith("large");
  });
});

describe("toasts", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    toasts.set([]);
  });
  afterEach(() => vi.useRealTimers());
  const pass = (ms: number) => act(() => vi.advanceTimersByTime(ms));
  const shown = () => screen.queryAllByRole("listitem").map(({ textContent }) => textContent);

  it("go by themselves; bad news stay longer", () => {
    render(<Toasts />);
    act(() => {
      toast("Link copied");
      toast("Not taken", { tone: "bad" });
    });
    expect(shown()).toEqual(["Link copied", "Not taken"]);
    pass(5100);
    expect(shown()).toEqual(["Not taken"]);
    pass(5100);
    expect(shown()).toEqual([]);
  });

  it("offer a way back", () => {
    const undo = vi.fn();
    render(<Toasts />);
    act(() => toast("1 job deleted", { action: { label: "Undo", run: undo }, stayMs: 6000 }));
    fireEvent.click(button("Undo"));
    expect(undo).toHaveBeenCalledOnce();
    expect(shown()).toEqual([]);
  });

  it("can be closed", () => {
    render(<Toasts />);
    act(() => toast("<b>News</b>"));
    expect(shown()).toEqual(["<b>News</b>"]);
    fireEvent.click(button("Close"));
    expect(toasts.get()).toEqual([]);
  });
});

describe("a copy button", () => {
  beforeEach(() => toasts.set([]));
  const clipboard = (writeText: (text: string) => Promise<void>) =>
    vi.spyOn(navigator, "clipboard", "get").mockReturnValue({ writeText } as unknown as Clipboard);
  const marked = () => button("Copy prompt").querySelector(".lucide-check") !== null;

  it("copies the text as it is, says so, and is itself again soon", async () => {
    vi.useFakeTimers();
    const write = vi.fn(async () => {});
    clipboard(write);
    render(<CopyButton text={"a\n<b>"} what="Prompt" />);
    await act(async () => fireEvent.click(button("Copy prompt")));
    expect(write).toHaveBeenCalledWith("a\n<b>");
    expect([toasts.get()[0]?.text, marked()]).toEqual(["Prompt copied", true]);
    act(() => vi.advanceTimersByTime(1600));
    expect(marked()).toBe(false);
    vi.useRealTimers();
  });

  it("says so when the browser does not let it, and marks nothing", async () => {
    clipboard(() => Promise.reject(new DOMException("denied", "NotAllowedError")));
    render(<CopyButton text="a" what="Prompt" />);
    await act(async () => fireEvent.click(button("Copy prompt")));
    expect(toasts.get()[0]).toMatchObject({
      tone: "bad",
      text: expect.stringContaining("could not be copied"),
    });
    expect(marked()).toBe(false);
  });
});
