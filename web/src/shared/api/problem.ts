import type { components } from "./schema.gen";

/** What is wrong with one field of a request. */
export interface FieldError {
  field: string;
  message: string;
}

interface ProblemBody {
  detail?: string;
  code?: string;
  errors?: FieldError[];
}

/** An answer of the server that is no success, or `status` 0 when there was no answer. */
export class Problem extends Error {
  override name = "Problem";
  readonly status: number;
  readonly code: string;
  readonly fields: FieldError[];

  constructor(status: number, body: ProblemBody) {
    super(body.detail ?? `The server answered ${status}`);
    this.status = status;
    this.code = body.code ?? "unknown";
    this.fields = body.errors ?? [];
  }

  /** Whether the same request may go through later. */
  get temporary(): boolean {
    return [0, 429, 502, 503, 504].includes(this.status);
  }

  static away(): Problem {
    return new Problem(0, { detail: "The server can't be reached", code: "away" });
  }
}

export type Schemas = components["schemas"];
