import createClient from "openapi-fetch";
import { learnServerTime } from "@/shared/lib/clock";
import { Problem } from "./problem";
import type { paths } from "./schema.gen";

const DOCUMENTED = "/api/v1"; // the prefix that openapi.json was generated with

/** Where this server's API is: its pages say so. */
export const apiPrefix = () =>
  document.querySelector<HTMLMetaElement>('meta[name="api-prefix"]')?.content ?? DOCUMENTED;

/** The address of a path such as "/events" in the API. */
export const apiPath = (path: string) => apiPrefix() + path;

async function send(request: Request): Promise<Response> {
  const address = new URL(request.url);
  const path = address.pathname.replace(DOCUMENTED, apiPrefix());
  const moved =
    path === address.pathname ? request : new Request(new URL(path + address.search, address), request);
  const answer = await fetch(moved);
  learnServerTime(answer.headers.get("date"));
  return answer;
}

/** The typed client of the API, generated from its document. Use it through `data`. */
export const api = createClient<paths>({ baseUrl: globalThis.location?.origin, fetch: send });

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Return the body of a success. Throws `Problem`. */
export async function data<T>(asked: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await asked;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw Problem.away();
  }
  if (!answer.response.ok) throw new Problem(answer.response.status, (answer.error ?? {}) as object);
  return answer.data as T;
}
