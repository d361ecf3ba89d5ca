import { fireEvent, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { connection } from "@/shared/api/live";
import { drafts } from "@/shared/api/outbox";
import { press } from "@/shared/lib/commands";
import { toasts } from "@/shared/lib/toast";
import { type Asked, jobOf, modelOf, serve, show, workOf } from "@/shared/testing";
import { composer, EMPTY } from "./composer";
import { GeneratePage } from "./page";

const user = userEvent.setup({ delay: null });
const SCHEMA = {
  properties: {
    steps: { type: "integer", default: 20 },
    seed: { type: "integer" },
    aspect_ratio: { enum: ["1:1", "3:2"] },
  },
};
const MODELS = [
  modelOf({ input_schema: SCHEMA }),
  modelOf({ id: "a/closed", default: false, input_schema: { additionalProperties: false } }),
];

let asked: Asked[] = [];
let jobs = [jobOf()];
let answer: Parameters<typeof serve>[0];

beforeEach(() => {
  composer.set(EMPTY);
  drafts.set([]);
  toasts.set([]);
  jobs = [];
  answer = () => {
    jobs = [workOf({ id: "new", prompt: "a blue owl" })];
    return { status: 202, body: jobs[0] };
  };
  asked = serve((one) => {
    if (one.path === "/models")
      return { body: { items: MODELS, mock_mode: true, connect_with: ["REPLICATE_API_TOKEN"] } };
    if (one.path.startsWith("/jobs?")) return { body: { items: jobs, next_cursor: null } };
    return answer(one);
  });
});

const prompt = () => screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Prompt" });
const seed = () => screen.getByRole<HTMLInputElement>("textbox", { name: "Seed" });
const generate = () => screen.getByRole("button", { name: /^Generate/ });
const submitted = () => asked.filter(({ path }) => path === "/generate").map(({ body }) => body);
const sent = (...all: unknown[]) => waitFor(() => expect(submitted()).toEqual(all));

async function page(path = "/") {
  const shown = show(<GeneratePage />, { path });
  await screen.findByRole("button", { name: /^Model: ./ });
  return shown;
}

describe("the composer", () => {
  it("sends what stands in it, and shows the job", async () => {
    await page();
    await user.type(prompt(), "a blue owl");
    await user.type(seed(), "7");
    await user.click(screen.getByRole("radio", { name: "3:2" }));
    await user.click(generate());
    await sent({
      prompt: "a blue owl",
      model: "mock/darkroom",
      parameters: { seed: 7, aspect_ratio: "3:2" },
    });
    expect(await screen.findByRole("heading", { name: "a blue owl" })).toBeDefined();
    expect(prompt().value).toBe("a blue owl"); // ready for the next variation
  });

  it("is sent by Ctrl+Enter while somebody types", async () => {
    await page();
    addEventListener("keydown", press);
    await user.type(prompt(), "a fox{Control>}{Enter}{/Control}");
    removeEventListener("keydown", press);
    await waitFor(() => expect(submitted()).toHaveLength(1));
  });

  it("takes a double click for one", async () => {
    await page();
    await user.type(prompt(), "a fox");
    await user.dblClick(generate());
    await waitFor(() => expect(submitted()).toHaveLength(1));
  });

  it("asks for a prompt before anything is sent", async () => {
    await page();
    await user.click(generate());
    expect(await screen.findByText("Write a prompt first.")).toBeDefined();
    expect(prompt().getAttribute("aria-invalid")).toBe("true");
    await user.type(prompt(), "a fox");
    await user.click(generate());
    await waitFor(() => expect(submitted()).toHaveLength(1));
    expect(prompt().getAttribute("aria-invalid")).toBeNull();
  });

  it("shows what the server refuses at the fields that it names, and the rest below", async () => {
    const errors = [
      { field: "parameters.seed", message: "Seed is too large" },
      { field: "priority", message: "Priority is closed" },
    ];
    answer = () => ({ status: 422, body: { detail: "wrong", errors } });
    await page();
    await user.type(prompt(), "a fox");
    await user.click(generate());
    await waitFor(() => expect(seed().getAttribute("aria-invalid")).toBe("true"));
    const about = document.getElementById(seed().getAttribute("aria-describedby") ?? "");
    expect(about?.textContent).toBe("Seed is too large");
    expect(screen.getByRole("alert").textContent).toBe("Priority is closed");
    expect(drafts.get()).toEqual([]);
  });

  it("says why a request was refused that names no field", async () => {
    answer = () => ({ status: 413, body: { detail: "The request is too large" } });
    await page();
    await user.type(prompt(), "a fox");
    await user.click(generate());
    expect((await screen.findByRole("alert")).textContent).toBe("The request is too large");
  });

  it("keeps a request while the server is away, says so, and sends it when it is back", async () => {
    const taken = answer;
    answer = () => null;
    connection.set("away");
    await page();
    await user.type(prompt(), "a patient fox");
    await user.click(generate());
    expect(await screen.findByRole("heading", { name: "a patient fox" })).toBeDefined();
    expect(await screen.findByText("The server is away; it is sent once it is back")).toBeDefined();
    answer = taken;
    connection.set("live");
    await waitFor(() => expect(drafts.get()).toEqual([]));
    await waitFor(() => expect(submitted()).toHaveLength(2));
  });

  it("waits for the models: what was set before a reload goes along", async () => {
    composer.set({ ...EMPTY, prompt: "a fox", model: "mock/darkroom", values: { seed: 7 } });
    show(<GeneratePage />);
    await user.click(generate());
    await sent({ prompt: "a fox", model: "mock/darkroom", parameters: { seed: 7 } });
  });

  it("is not stopped by broken JSON that the next model does not take", async () => {
    composer.set({ ...EMPTY, prompt: "a fox", extra: "{broken", model: "a/closed" });
    await page();
    await user.click(generate());
    await sent({ prompt: "a fox", model: "a/closed", parameters: {} });
  });
});

describe("the address", () => {
  it("fills the form, and is plain again", async () => {
    const parameters = { seed: 3, aspect_ratio: "3:2", lora: "x" };
    const { address } = await page(
      `/?prompt=an%20owl&parameters=${encodeURIComponent(JSON.stringify(parameters))}&steps=5`,
    );
    await waitFor(() => expect([prompt().value, seed().value, address()]).toEqual(["an owl", "3", "/"]));
    expect(screen.getByRole("radio", { name: "3:2", checked: true })).toBeDefined();
    await user.click(generate());
    await sent({ prompt: "an owl", model: "mock/darkroom", parameters: { ...parameters, steps: 5 } });
  });

  it("can be copied as a link, also before all is there", async () => {
    const write = vi.fn(async () => {});
    vi.spyOn(navigator, "clipboard", "get").mockReturnValue({ writeText: write } as unknown as Clipboard);
    await page();
    await user.type(seed(), "7");
    fireEvent.click(screen.getByRole("button", { name: "Copy a link to this request" }));
    await waitFor(() => expect(toasts.get()[0]?.text).toBe("Link copied"));
    expect(write).toHaveBeenCalledWith("http://localhost:3000/?parameters=%7B%22seed%22%3A7%7D");
  });
});

describe("without any job", () => {
  it("offers examples, which fill the form with their shape", async () => {
    await page();
    await user.click(await screen.findByRole("button", { name: /Misty mountains/ }));
    expect(prompt().value).toBe("Misty mountains at dawn");
    expect(document.activeElement).toBe(prompt());
    expect(screen.getByRole("radio", { name: "3:2", checked: true })).toBeDefined();
  });

  it("never sends a shape that the model does not know", async () => {
    composer.set({ ...EMPTY, model: "a/unlisted" });
    await page();
    await user.click(await screen.findByRole("button", { name: /Misty mountains/ }));
    await user.click(generate());
    await sent({ prompt: "Misty mountains at dawn", model: "a/unlisted", parameters: {} });
  });

  it("says that nothing is bought, and how to connect a provider", async () => {
    await page();
    await user.click(screen.getByRole("button", { name: "Connect a provider" }));
    expect(screen.getByRole("dialog", { name: "Connect a provider" }).textContent).toContain(
      "REPLICATE_API_TOKEN=",
    );
  });
});

describe("the stage and the strip", () => {
  beforeEach(() => {
    jobs = [
      jobOf({ id: "b", prompt: "an owl" }),
      jobOf({ id: "a", status: "failed", error_message: "Refused", attempt: 0 }),
    ];
  });
  const tiles = () => screen.getAllByRole("button", { name: /an owl\.|a red fox/ });

  it("show the newest job, and the one that is picked", async () => {
    await page();
    expect(await screen.findByRole("heading", { name: "an owl" })).toBeDefined();
    expect(screen.getByRole("status").textContent).toBe("Made in 2.4 s: an owl");
    await user.click(tiles()[1] as Element);
    expect(screen.getByRole("heading", { name: "a red fox" })).toBeDefined();
    expect(screen.getByText("Refused. Nothing was charged.")).toBeDefined();
    expect(tiles().map((tile) => tile.getAttribute("aria-current"))).toEqual(["false", "true"]);
  });

  it("are walked through by the arrows and by J and K", async () => {
    await page();
    await screen.findByRole("heading", { name: "an owl" });
    addEventListener("keydown", press);
    tiles()[0]?.focus();
    await user.keyboard("{ArrowRight}");
    expect(document.activeElement).toBe(tiles()[1]);
    await user.keyboard("j");
    expect(screen.getByRole("heading", { name: "a red fox" })).toBeDefined();
    await user.keyboard("k");
    expect(screen.getByRole("heading", { name: "an owl" })).toBeDefined();
    removeEventListener("keydown", press);
  });

  it("try a failed job again, and show the new one", async () => {
    answer = () => ({ status: 202, body: workOf({ id: "c", prompt: "once more" }) });
    jobs = [jobOf({ id: "a", status: "failed", error_message: "Refused" })];
    await page();
    const again = await screen.findByRole("button", { name: "Try again" });
    jobs = [workOf({ id: "c", prompt: "once more" }), ...jobs];
    await user.click(again);
    expect(await screen.findByRole("heading", { name: "once more" })).toBeDefined();
  });
});
