import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { artifactOf, jobOf, modelOf, serve, show } from "@/shared/testing";
import { ModelPicker } from "./model-picker";

const user = userEvent.setup({ delay: null });
const MODELS = [
  modelOf({ typical_s: 2.4 }),
  modelOf({ id: "acme/Flux-Dev", provider: "replicate", description: "Paints <b>well</b>", default: false }),
  modelOf({ id: "acme/owl:v2", provider: "replicate", default: false }),
];
const rows = () => screen.getAllByRole("listitem").length;

async function open(chosen = "mock/darkroom", error?: string) {
  const choose = vi.fn();
  show(<ModelPicker models={MODELS} chosen={chosen} error={error} onChoose={choose} />);
  await user.click(screen.getByRole("button", { name: `Model: ${chosen}` }));
  return choose;
}
const search = () => screen.getByRole("textbox", { name: "Find a model, or name one" });

beforeEach(() => {
  serve(() => ({ body: { items: [], next_cursor: null } }));
});

describe("the model picker", () => {
  it("shows which one is chosen, and what is known of each", async () => {
    await open();
    expect(screen.getByRole("button", { pressed: true }).textContent).toContain("mock/darkroom");
    expect(screen.getByText("Mock · usually 2.4 s")).toBeDefined();
    expect(screen.getByText("Paints <b>well</b>")).toBeDefined();
    expect(rows()).toBe(3);
  });

  it("shows the last picture of a model", async () => {
    serve(({ path }) => ({
      body: {
        items: path.includes("darkroom")
          ? [jobOf({ artifacts: [artifactOf({ thumbnail_url: "/last.webp" })] })]
          : [],
        next_cursor: null,
      },
    }));
    await open();
    await vi.waitFor(() => expect(document.querySelectorAll('img[src="/last.webp"]')).toHaveLength(1));
  });

  it("takes a click, and closes", async () => {
    const choose = await open();
    await user.click(screen.getByRole("button", { name: /acme\/owl/ }));
    expect(choose).toHaveBeenCalledExactlyOnceWith("acme/owl:v2");
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("finds by a part of the name in any case, and takes the first by Enter", async () => {
    const choose = await open();
    await user.type(search(), " flux ");
    expect(rows()).toBe(1);
    await user.keyboard("{Enter}");
    expect(choose).toHaveBeenCalledExactlyOnceWith("acme/Flux-Dev");
  });

  it("takes a model that is not listed by its full name", async () => {
    const choose = await open();
    await user.type(search(), "someone/new.model:1");
    await user.click(screen.getByRole("button", { name: "Use someone/new.model:1" }));
    expect(choose).toHaveBeenCalledWith("someone/new.model:1");
  });

  it("says of a chosen model that it is not listed", async () => {
    await open("someone/unlisted");
    expect(screen.getByText("not listed here")).toBeDefined();
  });

  it.each(["nothing", "a/b/c", "a b/c", "https://x/y", "<x>/y"])("takes no %s for a name", async (text) => {
    const choose = await open();
    await user.type(search(), `${text}{Enter}`);
    expect(screen.getByRole("button", { name: /Write it as owner\/name/ })).toHaveProperty("disabled", true);
    expect(choose).not.toHaveBeenCalled();
  });

  it("is reached and left by keys", async () => {
    const choose = await open();
    expect(document.activeElement).toBe(search());
    await user.tab();
    await user.keyboard("{Enter}");
    expect(choose).toHaveBeenCalledWith("mock/darkroom");
    await user.keyboard("{Enter}{Escape}");
    expect(document.activeElement).toBe(screen.getByRole("button", { name: "Model: mock/darkroom" }));
  });

  it("says what is wrong with the model", () => {
    show(<ModelPicker models={MODELS} chosen="a/b" error="There is no such model" onChoose={() => {}} />);
    const about = screen.getByRole("button", { name: "Model: a/b" }).getAttribute("aria-describedby");
    expect(document.getElementById(about ?? "")?.textContent).toBe("There is no such model");
  });
});
