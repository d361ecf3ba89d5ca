// @vitest-environment node

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const css = readFileSync(join(import.meta.dirname, "tokens.css"), "utf8");
const themes = css
  .split("}")
  .slice(0, 2)
  .map((block) =>
    Object.fromEntries(
      [...block.matchAll(/--([\w-]+): (#[0-9a-f]{6})/g)].map(([, name, color]) => [name, color]),
    ),
  );

function luminance(color: string): number {
  const parts = [1, 3, 5].map((start) => Number.parseInt(color.slice(start, start + 2), 16) / 255);
  const [red = 0, green = 0, blue = 0] = parts.map((part) =>
    part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(theme: Record<string, string>, first: string, second: string): number {
  const [dark = 0, light = 0] = [first, second]
    .map((name) => luminance(theme[name] ?? ""))
    .sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

describe.each(themes.map((theme, index) => [index ? "light" : "dark", theme] as const))(
  "the %s theme",
  (_, theme) => {
    it.each(["text", "muted", "lit", "ok", "warn", "bad"])("shows %s as text on every ground", (ink) => {
      for (const ground of ["bg", "surface", "raised", "paper"]) {
        expect(contrast(theme, ink, ground), ground).toBeGreaterThanOrEqual(4.5);
      }
    });

    it("shows what stands on the accent", () => {
      expect(contrast(theme, "accent-ink", "accent")).toBeGreaterThanOrEqual(4.5);
    });

    it.each(["edge", "ring"])("shows %s around controls", (border) => {
      for (const ground of ["bg", "surface"])
        expect(contrast(theme, border, ground), ground).toBeGreaterThanOrEqual(3);
    });
  },
);
