// Fails when what the first page loads is larger than the budget: index.html and all that it names.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const BUDGET = { js: 150_000, css: 20_000 }; // bytes, gzipped
const root = new URL("../../src/mediagen/web", import.meta.url).pathname;
const page = readFileSync(join(root, "index.html"), "utf8");
const named = [...page.matchAll(/(?:src|href)="(\/[^"]+\.(?:js|css))"/g)].map((match) => match[1]);
const loaded = new Set(named);
for (const path of named) {
  // what the entry imports statically is loaded with it, named in the page or not
  const text = readFileSync(join(root, path), "utf8");
  for (const [, file] of text.matchAll(/\bfrom\s*["']\.\/([^"']+\.js)["']/g)) loaded.add(`/assets/${file}`);
}
let failed = false;
for (const [kind, most] of Object.entries(BUDGET)) {
  const sizes = [...loaded].filter((path) => path.endsWith(`.${kind}`)).map(gzipped);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  console.log(`first load, ${kind}: ${(bytes / 1000).toFixed(1)} kB gzipped of ${most / 1000} kB`);
  failed ||= bytes > most || bytes === 0;
}
process.exitCode = failed ? 1 : 0;

function gzipped(path) {
  const packed = join(root, `${path}.gz`);
  return readFileSync(existsSync(packed) ? packed : join(root, path)).length;
}
