// Writes a .br and a .gz beside every built text file, so that the server sends them as they are.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const LEAST_BYTES = 512;
const root = new URL("../../src/mediagen/web", import.meta.url).pathname;

for (const name of readdirSync(root, { recursive: true })) {
  if (!/\.(js|css|html|svg)$/.test(name)) continue;
  const file = join(root, name);
  const bytes = readFileSync(file);
  if (bytes.length < LEAST_BYTES) continue;
  writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
  writeFileSync(
    `${file}.br`,
    brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
  );
}
