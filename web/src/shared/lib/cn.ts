import { type ClassValue, clsx } from "clsx";
import { extendTailwindMerge } from "tailwind-merge";

const merge = extendTailwindMerge({
  extend: { theme: { text: ["12", "13", "14", "16", "20", "28"], radius: ["s", "m", "l"] } },
});

/** Join class names; of two that set the same property the last one wins. */
export const cn = (...names: ClassValue[]) => merge(clsx(names));
