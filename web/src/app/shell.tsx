import { useQueryClient } from "@tanstack/react-query";
import { Suspense, useEffect, useState } from "react";
import { Outlet, useLocation, useNavigate } from "react-router";
import { goLive } from "@/shared/api/live";
import { resume } from "@/shared/api/outbox";
import { type Command, press, useCommands } from "@/shared/lib/commands";
import { later, loadParts } from "@/shared/lib/later";
import { followTheme, THEMES, theme } from "@/shared/lib/theme";
import { toast } from "@/shared/lib/toast";
import { TooltipProvider } from "@/shared/ui/tooltip";
import { CrashGuard } from "./crash";
import { TABS } from "./nav";
import { tellNews } from "./news";
import { OfflineBar } from "./offline-bar";
import { TopBar } from "./top-bar";

const Toasts = later(async () => (await import("@/shared/ui/toasts")).Toasts);
const Palette = later(async () => (await import("./palette")).Palette);
const Help = later(async () => (await import("./help")).Help);

type Window = "palette" | "help" | null;

/** What stays while pages change: the bar, the keys, the events, the toasts. */
export function Shell() {
  const [open, setOpen] = useState<Window>(null);
  useShellCommands(setOpen);
  useFollowing();
  const { pathname } = useLocation();
  const close = () => setOpen(null);
  return (
    <TooltipProvider>
      <a
        href="#page"
        className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-60 focus:rounded-s focus:bg-surface focus:p-3"
      >
        Skip to the page
      </a>
      <TopBar onPalette={() => setOpen("palette")} />
      <OfflineBar />
      <main id="page" tabIndex={-1} className="outline-none">
        <CrashGuard place={pathname}>
          <Suspense fallback={null}>
            <Outlet />
          </Suspense>
        </CrashGuard>
      </main>
      <Suspense fallback={null}>
        {open === "palette" && <Palette onClose={close} />}
        {open === "help" && <Help onClose={close} />}
        <Toasts />
      </Suspense>
    </TooltipProvider>
  );
}

function useShellCommands(setOpen: (window: Window) => void): void {
  const navigate = useNavigate();
  const tabs = TABS.map(
    ({ path, label, keys }): Command => ({
      id: `go ${path}`,
      label: `Go to ${label}`,
      group: "Anywhere",
      keys,
      run: () => navigate(path),
    }),
  );
  const looks = THEMES.map(
    (value): Command => ({
      id: `theme ${value}`,
      label: `Theme: ${value === "system" ? "as the system" : value}`,
      group: "Look",
      run: () => theme.set(value),
    }),
  );
  useCommands([
    ...tabs,
    {
      id: "palette",
      label: "Open the commands",
      group: "Anywhere",
      keys: "mod+k",
      keyOnly: true,
      run: () => setOpen("palette"),
    },
    {
      id: "help",
      label: "Show the keys",
      group: "Anywhere",
      keys: "?",
      inDialogs: true,
      run: () => setOpen("help"),
    },
    {
      id: "docs",
      label: "Open the documentation of the API",
      group: "Anywhere",
      run: () => location.assign("/docs"),
    },
    ...looks,
  ]);
}

function useFollowing(): void {
  const client = useQueryClient();
  const navigate = useNavigate();
  useEffect(() => goLive(client), [client]);
  useEffect(() => resume(client, (error) => toast(`Not taken: ${error.message}`, { tone: "bad" })), [client]);
  useEffect(() => tellNews((id) => navigate(`/jobs/${id}`)), [navigate]);
  useEffect(followTheme, []);
  useEffect(loadParts, []);
  useEffect(() => {
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}
