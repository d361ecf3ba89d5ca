// @vitest-environment node

import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { asCurl, asPython } from "./code";

const ADDRESS = "http://localhost:8000/api/v1";
const HOSTILE = [
  "plain",
  "it's 'quoted' \"twice\"",
  "'; touch /tmp/owned; '",
  "'\\''; exit 7; '",
  "$(exit 7) `exit 7` $HOME $IFS !! \\",
  "ends in a backslash \\",
  "lines\nand\ttabs\r\n\u0000\u0007",
  '"""\'\'\' + __import__("os").abort()',
  "{x} %s %(name)s \\N{DASH} \\u0041",
  "🦊 été \u2028 \u2029 \ud800",
];
const requestOf = (prompt: string) => ({
  prompt,
  model: "a/b",
  parameters: { text: prompt, deep: [{ n: 0.5 }] },
});

/** What a shell gives curl; curl itself is not called. */
function argumentsOf(command: string): string[] {
  const script = `curl() { for one in "$@"; do printf '%s\\036' "$one"; done; }\n${command}\n`;
  return execFileSync("sh", ["-e"], { input: script, encoding: "utf8" }).split("\u001e").slice(0, -1);
}

describe.each(HOSTILE)("a request for %j", (prompt) => {
  const request = requestOf(prompt);

  it("reaches curl whole, and nothing else runs", () => {
    const [silent, address, header, type, flag, body, ...more] = argumentsOf(asCurl(request, ADDRESS));
    expect([silent, address, header, type, flag]).toEqual([
      "-s",
      `${ADDRESS}/generate`,
      "-H",
      "Content-Type: application/json",
      "-d",
    ]);
    expect(JSON.parse(body ?? "")).toEqual(request);
    expect(more).toEqual([]);
  });

  it("is one string on one line of Python", () => {
    const lines = asPython(request, ADDRESS).split(/[\n\r]/);
    expect(lines).toHaveLength(11);
    const [, text] =
      /^body = json\.loads\(("(?:[^"\\]|\\["\\nrtbf]|\\u[0-9a-f]{4})*")\)$/.exec(lines[3] ?? "") ?? [];
    expect(JSON.parse(JSON.parse(text ?? "null"))).toEqual(request);
    expect(lines[5]).toBe(`    "${ADDRESS}/generate",`);
  });
});
