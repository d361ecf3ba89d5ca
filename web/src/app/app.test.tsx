import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { connection } from "@/shared/api/live";
import { useCommands } from "@/shared/lib/commands";
import { followTheme, theme } from "@/shared/lib/theme";
import { show } from "@/shared/testing";
import { CrashGuard } from "./crash";
import { Help } from "./help";
import { NotFound } from "./not-found";
import { OfflineBar } from "./offline-bar";
import { Palette } from "./palette";
import { TopBar } from "./top-bar";

const user = userEvent.setup({ delay: null });

describe("the palette", () => {
  const ran: string[] = [];
  beforeEach(() => {
    ran.length = 0;
  });

  function Page() {
    const [open, setOpen] = useState(true);
    const run = (id: string) => () => void ran.push(id);
    useCommands([
      { id: "go", label: "Go to History", group: "Anywhere", keys: "h", run: run("go") },
      {
        id: "write",
        label: "Write a prompt",
        group: "Generate",
        run: () => document.getElementById("box")?.focus(),
      },
      {
        id: "older",
        label: "Show the job before",
        group: "Generate",
        keys: "j",
        keyOnly: true,
        run: run("older"),
      },
      { id: "dark", label: "Theme: dark", group: "Look", run: run("dark") },
    ]);
    return (
      <>
        <input id="box" aria-label="Prompt" />
        {open && <Palette onClose={() => setOpen(false)} />}
      </>
    );
  }
  const options = () => screen.getAllByRole("option").map(({ textContent }) => textContent);

  it("offers by name what can be done, with its key", () => {
    show(<Page />);
    expect(options()).toEqual(["Go to HistoryH", "Write a prompt", "Theme: dark"]);
    expect(document.activeElement).toBe(screen.getByPlaceholderText("What do you want to do?"));
  });

  it("finds what is typed, and runs it by Enter", async () => {
    show(<Page />);
    await user.keyboard("dark");
    expect(options()).toEqual(["Theme: dark"]);
    await user.keyboard("{Enter}");
    await waitFor(() => expect(ran).toEqual(["dark"]));
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("is walked through by the arrows, round and round", async () => {
    show(<Page />);
    await user.keyboard("{ArrowUp}");
    expect(screen.getByRole("option", { selected: true }).textContent).toBe("Theme: dark");
    await user.keyboard("{ArrowDown}{Enter}");
    await waitFor(() => expect(ran).toEqual(["go"]));
  });

  it("gives the focus back, unless a command takes it", async () => {
    const before = document.body.appendChild(document.createElement("button"));
    before.focus();
    show(<Page />).unmount();
    await waitFor(() => expect(document.activeElement).toBe(before));
    show(<Page />);
    await user.keyboard("prompt{Enter}");
    await act(() => new Promise((done) => requestAnimationFrame(done)));
    expect(document.activeElement).toBe(screen.getByRole("textbox", { name: "Prompt" }));
    before.remove();
  });

  it("says so when nothing fits, and closes by Escape", async () => {
    show(<Page />);
    await user.keyboard("xyzzy");
    expect(screen.getByText("Nothing of that name.")).toBeDefined();
    await user.keyboard("{Escape}");
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(ran).toEqual([]);
  });

  it("has a list of all keys beside it", () => {
    function Keys() {
      useCommands([
        { id: "a", label: "Cancel this job", group: "Generate", keys: "x", run: () => {} },
        { id: "b", label: "No key", group: "Generate", run: () => {} },
      ]);
      return <Help onClose={() => {}} />;
    }
    show(<Keys />);
    expect(screen.getAllByRole("term").map(({ textContent }) => textContent)).toEqual(["Cancel this job"]);
    expect(screen.getByRole("definition").textContent).toBe("X");
  });
});

describe("the bar above", () => {
  beforeEach(() => theme.set("system"));

  it("leads to the pages, and says which one is shown", async () => {
    const { address } = show(<TopBar onPalette={() => {}} />, { path: "/history" });
    const pages = within(screen.getByRole("navigation", { name: "Pages" }));
    expect(pages.getByRole("link", { current: "page" }).textContent).toBe("History");
    await user.click(pages.getByRole("link", { name: "Architecture" }));
    expect(address()).toBe("/architecture");
    expect(pages.getByRole("link", { current: "page" }).textContent).toBe("Architecture");
  });

  it("opens the commands", async () => {
    const open = vi.fn();
    show(<TopBar onPalette={open} />);
    await user.click(screen.getByRole("button", { name: "Open the command palette" }));
    expect(open).toHaveBeenCalledOnce();
  });

  it("switches the theme, for this visit and the next", async () => {
    show(<TopBar onPalette={() => {}} />);
    await user.click(screen.getByRole("button", { name: "Theme: As the system" }));
    expect(screen.getByRole("menuitemradio", { checked: true }).textContent).toBe("As the system");
    await user.click(screen.getByRole("menuitemradio", { name: "Light" }));
    expect(screen.getByRole("button", { name: "Theme: Light" })).toBeDefined();
    expect(localStorage.getItem("mediagen.theme")).toBe('"light"');
  });
});

describe("the theme", () => {
  const look = () => document.documentElement.dataset.theme;

  it("follows the system, until another is chosen", () => {
    let light = true;
    let changed = () => {};
    vi.stubGlobal("matchMedia", () => ({
      matches: light,
      addEventListener: (_: string, listener: () => void) => {
        changed = listener;
      },
      removeEventListener: () => {},
    }));
    theme.set("system");
    const stop = followTheme();
    expect(look()).toBe("light");
    light = false;
    changed();
    expect(look()).toBe("dark");
    theme.set("light");
    expect(look()).toBe("light");
    stop();
    theme.set("dark");
    expect(look()).toBe("light");
  });
});

describe("the bar of a server that is away", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    connection.set("live");
  });
  afterEach(() => vi.useRealTimers());
  const pass = (ms: number) => act(() => vi.advanceTimersByTime(ms));
  const text = () => screen.getByRole("status").textContent;

  it("says that nothing is lost, after a moment, until it is back", () => {
    show(<OfflineBar />);
    act(() => connection.set("away"));
    pass(300);
    expect(text()).toBe("");
    pass(200);
    expect(text()).toContain("nothing is lost");
    act(() => connection.set("live"));
    pass(10);
    expect(text()).toBe("");
  });

  it("says nothing while the server answers in another way", () => {
    show(<OfflineBar />);
    act(() => connection.set("polling"));
    pass(5000);
    expect(text()).toBe("");
  });
});

describe("a page that breaks", () => {
  const Broken = ({ error }: { error: unknown }) => {
    throw error;
  };
  beforeEach(() => {
    vi.spyOn(console, "error").mockImplementation(() => {});
  });

  it("says that nothing is lost, and what broke; another page works", () => {
    const { again } = show(
      <CrashGuard place="/a">
        <Broken error={new Error("<b>no</b>")} />
      </CrashGuard>,
    );
    expect(screen.getByText("Your jobs are safe on the server. (Error: <b>no</b>)")).toBeDefined();
    again(<CrashGuard place="/b">All is well</CrashGuard>);
    expect(screen.getByText("All is well")).toBeDefined();
  });

  it("says so when it could only not be loaded", () => {
    show(
      <CrashGuard place="/a">
        <Broken error={new TypeError("Failed to fetch dynamically imported module: /x.js")} />
      </CrashGuard>,
    );
    expect(screen.getByRole("heading").textContent).toBe("This part could not be loaded");
    expect(screen.getByRole("button", { name: "Load it again" })).toBeDefined();
  });

  it("may be none at all: then there is a way on", () => {
    const { address } = show(<NotFound />, { path: "/nowhere" });
    fireEvent.click(screen.getByRole("link", { name: "Make something" }));
    expect(address()).toBe("/");
  });
});
