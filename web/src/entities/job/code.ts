import type { Job } from "@/shared/api/jobs";

type Request = Pick<Job, "prompt" | "model" | "parameters">;

const body = ({ prompt, model, parameters }: Request) => ({ prompt, model, parameters });

/** The request as a command for a shell; quotes in it can't end its string. */
export function asCurl(request: Request, address: string): string {
  const json = JSON.stringify(body(request), null, 2).replaceAll("'", "'\\''");
  return `curl -s ${address}/generate \\\n  -H 'Content-Type: application/json' \\\n  -d '${json}'`;
}

/** The request as a Python program without dependencies. */
export function asPython(request: Request, address: string): string {
  return [
    "import json",
    "import urllib.request",
    "",
    `body = json.loads(${pythonString(JSON.stringify(body(request)))})`,
    "request = urllib.request.Request(",
    `    ${pythonString(`${address}/generate`)},`,
    "    json.dumps(body).encode(),",
    '    {"Content-Type": "application/json"},',
    ")",
    "job = json.load(urllib.request.urlopen(request))",
    'print(job["id"], job["status"])',
  ].join("\n");
}

/** A string of JSON is one of Python too, except for surrogate pairs, which JSON.stringify leaves as they are. */
const pythonString = (text: string) => JSON.stringify(text);
