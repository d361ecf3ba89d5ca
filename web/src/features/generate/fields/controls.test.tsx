import { fireEvent, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { describe, expect, it, vi } from "vitest";
import { type Field, readForm } from "@/features/generate/schema";
import { show } from "@/shared/testing";
import { Control } from "./control";

const user = userEvent.setup({ delay: null });
const description = (element: Element) =>
  (element.getAttribute("aria-describedby") ?? "")
    .split(" ")
    .map((id) => document.getElementById(id)?.textContent)
    .join(" ");

/** Show the control of a schema; return the values that it gave. */
function control(schema: object, { name = "thing", value: first = undefined as unknown, error = "" } = {}) {
  const { main, more } = readForm({ properties: { [name]: { title: "Thing", ...schema } } });
  const given: unknown[] = [];
  function Page({ field }: { field: Field }) {
    const [value, setValue] = useState(first);
    const change = (next: unknown) => {
      given.push(next);
      setValue(next);
    };
    return <Control field={field} value={value} onChange={change} error={error || undefined} />;
  }
  show(<Page field={[...main, ...more][0] as Field} />);
  return given;
}

describe("a number", () => {
  it("is a number as it is typed, or nothing", async () => {
    const given = control({ type: "integer" });
    await user.type(screen.getByRole("textbox", { name: "Thing" }), "12{Backspace}{Backspace}");
    expect(given).toEqual([1, 12, 1, undefined]);
  });

  it.each([{ type: "number" }, { type: "number", minimum: 0, maximum: 2 }])(
    "may have decimals: %j",
    async (schema) => {
      const given = control(schema);
      const field = screen.getByRole<HTMLInputElement>("textbox", { name: "Thing" });
      await user.type(field, "1.05");
      expect(field.value).toBe("1.05");
      expect(given.at(-1)).toBe(1.05);
    },
  );

  it("stays as it is written when it is none, for the server to refuse", async () => {
    const given = control({ type: "integer" });
    const field = screen.getByRole<HTMLInputElement>("textbox", { name: "Thing" });
    await user.type(field, "-x");
    expect([field.value, given.at(-1)]).toEqual(["-x", "-x"]);
  });

  it("shows what is usual, without taking it", () => {
    control({ type: "integer", default: 20 });
    expect(screen.getByPlaceholderText("20")).toBe(screen.getByRole("textbox", { name: "Thing" }));
  });
});

describe("a range", () => {
  const slider = () => screen.getByRole("slider", { name: "Thing" });
  const position = () => Number(slider().getAttribute("aria-valuenow"));

  it("goes step by step with the arrow keys, within its bounds", async () => {
    const given = control({ type: "integer", minimum: 1, maximum: 50, default: 49 });
    slider().focus();
    await user.keyboard("{ArrowRight}{ArrowRight}{ArrowLeft}{Home}");
    expect(given).toEqual([50, 49, 1]);
    expect([slider().getAttribute("aria-valuemin"), slider().getAttribute("aria-valuemax")]).toEqual([
      "1",
      "50",
    ]);
  });

  it("goes in hundredths when it is not whole", async () => {
    const given = control({ type: "number", minimum: 0, maximum: 1, default: 0.5 });
    slider().focus();
    await user.keyboard("{ArrowRight}");
    expect(given).toEqual([0.51]);
  });

  it("follows what is typed, and stops at its end", () => {
    control({ type: "number", minimum: 0, maximum: 10, default: 3 });
    expect(position()).toBe(3);
    fireEvent.change(screen.getByRole("textbox", { name: "Thing" }), { target: { value: "7." } });
    expect(position()).toBe(7);
    fireEvent.change(screen.getByRole("textbox", { name: "Thing" }), { target: { value: "99" } });
    expect(position()).toBe(10);
  });
});

describe("a seed", () => {
  const seed = { type: "integer", maximum: 99 };
  it("is rolled, kept, and let go", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    const given = control(seed, { name: "seed" });
    const field = screen.getByRole<HTMLInputElement>("textbox", { name: "Thing" });
    expect(screen.queryByRole("button", { name: "Another seed each time" })).toBeNull();
    await user.click(screen.getByRole("button", { name: "Roll a seed and keep it" }));
    expect(field.value).toBe("99");
    await user.click(screen.getByRole("button", { name: "Another seed each time" }));
    expect(given).toEqual([99, undefined]);
    expect(field.value).toBe("");
  });

  it("may be zero", () => {
    control(seed, { name: "seed", value: 0 });
    expect(screen.getByDisplayValue("0")).toBeDefined();
    expect(screen.getByRole("button", { name: "Another seed each time" })).toBeDefined();
  });
});

describe("a choice", () => {
  const select = () => screen.getByRole<HTMLSelectElement>("combobox", { name: "Thing" });
  const options = () => screen.getAllByRole("option").map(({ textContent }) => textContent);

  it("keeps numbers numbers, and can be left to the model", async () => {
    const given = control({ enum: [1, 2, "x"] });
    expect(options()).toEqual(["Auto", "1", "2", "x"]);
    await user.selectOptions(select(), "2");
    await user.selectOptions(select(), "Auto");
    expect(given).toEqual([2, undefined]);
  });

  it("begins with what is usual", () => {
    control({ enum: ["a", "b"], default: "b" });
    expect([select().value, options()]).toEqual(["b", ["a", "b"]]);
  });

  it("shows what would be sent, even when the model does not know it", () => {
    control({ enum: ["a", "b"], default: "b" }, { value: "old" });
    expect([select().value, options()]).toEqual(["old", ["a", "b", "old"]]);
  });
});

describe("chips", () => {
  const shapes = { enum: ["1:1", "3:2"] };
  const chip = (name: string) => screen.getByRole<HTMLInputElement>("radio", { name });

  it("are one choice, which a second click takes back", async () => {
    const given = control(shapes, { name: "aspect_ratio" });
    expect(screen.getByRole("radiogroup", { name: "Thing" })).toBeDefined();
    await user.click(chip("3:2"));
    expect([chip("3:2").checked, chip("1:1").checked]).toEqual([true, false]);
    await user.click(chip("3:2"));
    expect(given).toEqual(["3:2", undefined]);
  });

  it("begin with what is usual", () => {
    control({ ...shapes, default: "1:1" }, { name: "aspect_ratio" });
    expect(chip("1:1").checked).toBe(true);
  });
});

it("switches, and says no as well as yes", async () => {
  const given = control({ type: "boolean", default: true, description: "Refuse <b>some</b>" });
  const box = screen.getByRole("checkbox", { name: "Thing", checked: true });
  expect(description(box)).toBe("Refuse <b>some</b>");
  await user.click(box);
  await user.click(box);
  expect(given).toEqual([false, true]);
});

it("takes JSON, and what is none until it is", () => {
  const given = control({ type: "object", default: { a: 1 } });
  const field = screen.getByRole("textbox", { name: "Thing (JSON)" });
  expect(field.getAttribute("placeholder")).toBe('{"a":1}');
  for (const value of ['{"b"', '{"b": [2]}', ""]) fireEvent.change(field, { target: { value } });
  expect(given).toEqual(['{"b"', { b: [2] }, undefined]);
});

it("takes text as it is", () => {
  const given = control({ type: "string", description: "What to leave out" });
  const field = screen.getByRole("textbox", { name: "Thing" });
  expect([description(field), field.getAttribute("aria-invalid")]).toEqual(["What to leave out", null]);
  fireEvent.change(field, { target: { value: " 007 " } });
  expect(given).toEqual([" 007 "]);
});

describe("what the server says of a field", () => {
  it.each([
    ["textbox", { type: "string", description: "Help" }, "thing"],
    ["textbox", { type: "integer" }, "thing"],
    ["textbox", { type: "number", minimum: 0, maximum: 1 }, "thing"],
    ["textbox", { type: "integer" }, "seed"],
    ["textbox", { type: "object" }, "thing"],
    ["combobox", { enum: ["a"] }, "thing"],
    ["checkbox", { type: "boolean", description: "Help" }, "thing"],
    ["radiogroup", { enum: ["1:1"] }, "aspect_ratio"],
    ["group", { type: "string", format: "uri" }, "image"],
  ])("is told at the %s of %j", (role, schema, name) => {
    control(schema, { name, error: "<i>Too much</i>" });
    const field = screen.getByRole(role, { name: /^Thing/ });
    expect(description(field)).toBe("<i>Too much</i>");
    if (role !== "group") expect(field.getAttribute("aria-invalid")).toBe("true");
  });
});
