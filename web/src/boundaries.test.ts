// @vitest-environment node

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const MOST_LINES = 250;
const LAYERS = ["shared", "entities", "features", "app"]; // imports point to the left, or stay
const root = import.meta.dirname;
const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(tsx?|css)$/.test(name) && !name.endsWith(".gen.ts"))
  .map((name) => ({ name, text: readFileSync(join(root, name), "utf8") }));

const imports = (text: string) =>
  [...text.matchAll(/(?:from|import)\s*\(?\s*"@\/([^"]+)"/g)].map(([, path]) => path ?? "");

describe("the folders", () => {
  it("holds no file that is too long to read", () => {
    expect(
      files.filter(({ text }) => text.split("\n").length > MOST_LINES + 1).map(({ name }) => name),
    ).toEqual([]);
  });

  it("lets imports point down only", () => {
    const upward = files.flatMap(({ name, text }) => {
      const level = LAYERS.indexOf(name.split("/")[0] ?? "");
      if (level < 0) return [];
      return imports(text)
        .filter((path) => LAYERS.indexOf(path.split("/")[0] ?? "") > level)
        .map((path) => `${name} -> ${path}`);
    });
    expect(upward).toEqual([]);
  });

  it("lets no feature import another one", () => {
    const across = files.flatMap(({ name, text }) => {
      const [layer, feature] = name.split("/");
      if (layer !== "features") return [];
      return imports(text)
        .filter((path) => path.startsWith("features/") && path.split("/")[1] !== feature)
        .map((path) => `${name} -> ${path}`);
    });
    expect(across).toEqual([]);
  });

  it("reaches out of its folder by @/ only, so that the rules above see it", () => {
    const relative = files.filter(({ text }) => /from "\.\.\//.test(text)).map(({ name }) => name);
    expect(relative).toEqual([]);
  });

  it("parses no text as markup", () => {
    const markup = files.filter(
      ({ name, text }) => !name.includes(".test.") && /innerHTML|insertAdjacentHTML/i.test(text),
    );
    expect(markup.map(({ name }) => name)).toEqual([]);
  });
});
