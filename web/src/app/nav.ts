/** The tabs: the shell, the keys and the palette show them in this order. */
export const TABS = [
  { path: "/", label: "Generate", keys: "g" },
  { path: "/history", label: "History", keys: "h" },
  { path: "/architecture", label: "Architecture", keys: "a" },
] as const;
