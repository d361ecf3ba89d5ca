import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Attempt, JobDetail } from "@/shared/api/jobs";
import { toasts } from "@/shared/lib/toast";
import { artifactOf, detailOf, jobOf, serve, show, workOf } from "@/shared/testing";
import { composeLink } from "./actions";
import { JobPanel } from "./panel";
import { leaving } from "./remove";

const MARKUP = "<script>alert(1)</script> & 'fox'";
const button = (name: string) => screen.getByRole("button", { name });
const section = (title: string) => {
  const part = screen.getByRole("heading", { name: title }).closest("section");
  if (!part) throw new Error(`no section ${title}`);
  return within(part);
};
const panel = (part: Partial<JobDetail> = {}, more: Partial<Parameters<typeof JobPanel>[0]> = {}) =>
  show(<JobPanel job={detailOf(part)} free={false} {...more} />);
const FAILED: Partial<JobDetail> = {
  status: "failed",
  error_message: "the prompt was refused",
  attempt: 2,
  cost: { usd: 0.003, calls: 2 },
};

beforeEach(() => {
  toasts.set([]);
  leaving.set(new Set());
});

describe("a job that failed", () => {
  it("says why, and what that cost, in plain words", () => {
    panel(FAILED);
    expect(screen.getByText("Failed")).toBeDefined();
    expect(screen.getByText("The prompt was refused. At most 2 calls may have been charged.")).toBeDefined();
    expect(section("About").getByText("$0.003, 2 calls")).toBeDefined();
  });

  it("costs nothing where nothing can", () => {
    panel(FAILED, { free: true });
    expect(screen.getByText("The prompt was refused. Nothing was charged.")).toBeDefined();
    expect(section("About").getByText("Nothing")).toBeDefined();
  });

  it("can be tried again: the new job is handed on", async () => {
    const asked = serve(() => ({ status: 202, body: jobOf({ id: "job-2" }) }));
    const retried = vi.fn();
    panel(FAILED, { onRetried: retried });
    fireEvent.click(button("Try again"));
    await waitFor(() => expect(retried.mock.calls[0]?.[0]).toMatchObject({ id: "job-2" }));
    expect(asked[0]).toMatchObject({ method: "POST", path: "/jobs/job-1/retry" });
  });

  it("says so when that is refused", async () => {
    serve(() => ({ status: 429, body: { detail: "Too many jobs wait" } }));
    panel(FAILED);
    fireEvent.click(button("Try again"));
    await waitFor(() => expect(toasts.get()[0]).toMatchObject({ text: "Too many jobs wait", tone: "bad" }));
  });

  it("can be changed and run again, with all that it asked for", () => {
    const request = { prompt: "fox & 'owl' #1", model: "a/b", parameters: { seed: 7, deep: { a: [1] } } };
    panel({ ...FAILED, ...request });
    const link = screen.getByRole("link", { name: "Edit and run again" }).getAttribute("href") ?? "";
    const query = new URLSearchParams(link.slice(2));
    expect({ ...Object.fromEntries(query), parameters: JSON.parse(query.get("parameters") ?? "") }).toEqual(
      request,
    );
    expect(composeLink({ prompt: "a" })).toBe("/?prompt=a");
  });
});

describe("a job at work", () => {
  it("can be canceled, and neither deleted nor tried again", async () => {
    const asked = serve(() => ({ body: workOf({ cancel_requested: true }) }));
    panel(workOf(), { onDeleted: () => {} });
    expect(screen.queryByRole("button", { name: /Delete|Try again/ })).toBeNull();
    fireEvent.click(button("Cancel"));
    await waitFor(() => expect(asked[0]).toMatchObject({ method: "POST", path: "/jobs/job-1/cancel" }));
  });

  it("is canceled once", () => {
    const asked = serve(() => ({}));
    panel(workOf({ cancel_requested: true }));
    expect(button("Canceling").getAttribute("aria-disabled")).toBe("true");
    fireEvent.click(button("Canceling"));
    expect(asked).toEqual([]);
  });

  it("tells its place in the queue", () => {
    panel({ ...workOf(), ahead: 1200 });
    expect(screen.getByText(/^1,200 before it, /)).toBeDefined();
  });
});

it("deletes a job that has ended, and leaves it", () => {
  const deleted = vi.fn();
  panel({}, { onDeleted: deleted });
  fireEvent.click(button("Delete"));
  expect(deleted).toHaveBeenCalledOnce();
  expect([...leaving.get()]).toEqual(["job-1"]);
  toasts.get()[0]?.action?.run();
});

describe("the webhook of a job", () => {
  const part = { state: "pending", attempts: 1, last_status: null, next_try_at: null };
  const next_try_at = "2026-11-20T12:00:00Z";

  it.each([
    [{ ...part, attempts: 0 }, "Being delivered"],
    [{ ...part, last_status: 500, next_try_at }, /^1 try, the last answer was 500; again 20 Nov 2026, /],
    [part, "1 try, no answer came"],
    [{ ...part, state: "delivered", last_status: 200 }, "Delivered"],
    [{ ...part, state: "delivered", attempts: 3, last_status: 200 }, "Delivered after 3 tries"],
    [
      { ...part, state: "dead", attempts: 9, last_status: 410 },
      "Given up after 9 tries: the last answer was 410",
    ],
  ])("says how far it has come: %j", (delivery, words) => {
    panel({ delivery });
    expect(section("About").getByText(words)).toBeDefined();
  });

  it("is not spoken of where there is none", () => {
    panel();
    expect(screen.queryByText("Webhook")).toBeNull();
  });
});

describe("what is known of a job", () => {
  it("is text, whatever stands in it", () => {
    const timeline = [
      { id: 1, job_id: "", type: "failed", at: "2026-11-20T12:00:00Z", data: { message: MARKUP } },
    ];
    const { container } = panel({
      ...FAILED,
      prompt: MARKUP,
      error_message: MARKUP,
      parameters: { text: MARKUP },
      timeline,
    });
    expect(section("Prompt").getByText(MARKUP)).toBeDefined();
    expect(section("Parameters").getByText(MARKUP)).toBeDefined();
    expect(section("Timeline").getByText(MARKUP)).toBeDefined();
    expect(container.querySelector("script")).toBeNull();
  });

  it("shows a picture that was sent along, and other values as JSON", () => {
    panel({
      parameters: {
        image: "data:image/png;base64,AAAA",
        deep: { a: [1] },
        page: "data:text/html,x",
        none: null,
      },
    });
    const parameters = section("Parameters");
    expect(parameters.getByRole("img", { name: "What was sent along" })).toBeDefined();
    for (const text of ['{"a":[1]}', "data:text/html,x", "null"])
      expect(parameters.getByText(text)).toBeDefined();
    expect(parameters.getAllByRole("img")).toHaveLength(1);
  });

  it("names files, their size, and where to get them", () => {
    panel({ artifacts: [artifactOf(), artifactOf({ index: 1, width: null, size_bytes: 800 })] });
    const files = section("Files")
      .getAllByRole("listitem")
      .map(({ textContent }) => textContent);
    expect(files).toEqual(["image/png · 1024 × 768 · 1.2 MB", "image/png · 800 B"]);
    const second = screen.getByRole("link", { name: "Download file 2" });
    expect(second.getAttribute("href")).toBe("/media/picture-1.png?download=true");
  });

  it("says what is odd about a file, what may be charged, and what came beside the files", () => {
    const unsure: Attempt = {
      call_id: "c",
      number: 1,
      provider: "replicate",
      model: "a/b",
      state: "unknown",
      provider_ref: null,
      error: null,
      seen: "1 unmarked with the same input",
      marked: true,
      may_be_charged: true,
      cost_usd: null,
      created_at: "2026-11-20T12:00:00Z",
      finished_at: null,
    };
    const odd = artifactOf({ doubt: "its end is missing" });
    panel({ attempts: [unsure], artifacts: [odd], output: { seed: 1234567 } });
    expect(section("Files").getByText("Its end is missing")).toBeDefined();
    const calls = section("Calls at the provider");
    expect(calls.getByText("May be charged: nobody could find out")).toBeDefined();
    expect(calls.getByText("Seen: 1 unmarked with the same input")).toBeDefined();
    expect(section("Output").getByText(/"seed": 1234567/)).toBeDefined();
  });

  it("names each call at the provider", () => {
    const call: Attempt = {
      call_id: "c",
      number: 1,
      provider: "mock",
      model: "a/b",
      state: "failed",
      provider_ref: "ref-9",
      error: "timed out",
      seen: null,
      marked: true,
      may_be_charged: false,
      cost_usd: 0.01,
      created_at: "2026-11-20T12:00:00Z",
      finished_at: "2026-11-20T12:00:03Z",
    };
    panel({
      attempts: [call, { ...call, call_id: "d", number: 2, finished_at: null, cost_usd: null, error: null }],
    });
    const calls = section("Calls at the provider")
      .getAllByRole("listitem")
      .map(({ textContent }) => textContent);
    expect(calls).toEqual(["Call 1: failed3 s · $0.01ref-9Timed out", "Call 2: failedref-9"]);
  });

  it.each([
    [{ usd: null, calls: 0 }, "Nothing"],
    [{ usd: null, calls: 1 }, "1 call; the provider names no price"],
    [{ usd: 0.25, calls: 1 }, "$0.25, 1 call"],
  ])("tells what %j cost", (cost, words) => {
    panel({ cost });
    expect(section("About").getByText(words)).toBeDefined();
  });

  it("leads to the job that it repeats", () => {
    panel({ retry_of: "job-0" });
    expect(screen.getByRole("link", { name: "an earlier job" }).getAttribute("href")).toBe("/jobs/job-0");
  });

  it("gives its request as code, in the language that is chosen", () => {
    panel({ prompt: MARKUP });
    expect(screen.getByRole("region", { name: "The request as curl" }).textContent).toContain(
      "curl -s http://localhost:3000/api/v1/generate",
    );
    fireEvent.click(button("Python"));
    expect(screen.getByRole("region", { name: "The request as Python" }).textContent).toContain(
      "import json",
    );
    expect(button("Python").getAttribute("aria-pressed")).toBe("true");
    expect(button("Copy python code")).toBeDefined();
  });
});
