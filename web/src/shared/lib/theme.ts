import { createStoredStore } from "./storage";

export type Theme = "system" | "dark" | "light";
export const THEMES: Theme[] = ["system", "dark", "light"];

/** What was chosen; `public/theme.js` applies it before the first paint. */
export const theme = createStoredStore<Theme>("theme", "system");

function apply() {
  const chosen = theme.get();
  const system = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  document.documentElement.dataset.theme = chosen === "system" ? system : chosen;
}

/** Keep the page in the chosen theme; return how to stop. */
export function followTheme(): () => void {
  const media = matchMedia("(prefers-color-scheme: light)");
  apply();
  media.addEventListener("change", apply);
  const stop = theme.subscribe(apply);
  return () => {
    media.removeEventListener("change", apply);
    stop();
  };
}
