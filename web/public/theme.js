// Before the first paint: the theme that was chosen; without one, the system's (see src/shared/lib/theme.ts).
(() => {
  let chosen = null;
  try {
    chosen = JSON.parse(localStorage.getItem("mediagen.theme"));
  } catch {
    // storage is closed to us, or holds something else
  }
  const system = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  document.documentElement.dataset.theme = chosen === "dark" || chosen === "light" ? chosen : system;
})();
