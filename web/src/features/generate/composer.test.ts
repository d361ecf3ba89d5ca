// @vitest-environment node

import { beforeEach, describe, expect, it } from "vitest";
import { toasts } from "@/shared/lib/toast";
import {
  type Composer,
  composer,
  EMPTY,
  errorOf,
  fill,
  Refusal,
  requestOf,
  setValue,
  sidesOf,
  unfinished,
} from "./composer";
import { readForm, SIDES } from "./schema";
import { requestIn } from "./use-composer";

const FORM = readForm({
  properties: {
    steps: { type: "integer", minimum: 1, maximum: 50, default: 20 },
    style: { enum: ["plain", "bold"], default: "plain" },
    seed: { type: "integer" },
    tags: { type: "array" },
  },
});
const SIDED = readForm({ properties: { width: { type: "integer" }, height: { type: "integer" } } });
const CLOSED = readForm({ additionalProperties: false });

const stateOf = (part: Partial<Composer>): Composer => ({ ...EMPTY, prompt: "a fox", ...part });
const parametersOf = (part: Partial<Composer>, form = FORM) => requestOf(stateOf(part), form).parameters;

function refusalOf(part: Partial<Composer>, form = FORM): Refusal {
  try {
    requestOf(stateOf(part), form);
  } catch (error) {
    if (error instanceof Refusal) return error;
  }
  throw new Error("it was not refused");
}

beforeEach(() => composer.set(EMPTY));

describe("a request", () => {
  it("names what differs from the model's defaults, and nothing else", () => {
    expect(parametersOf({ values: { steps: 20, style: "bold", seed: 0, tags: [], other: 1 } })).toEqual({
      style: "bold",
      seed: 0,
    });
  });

  it("names the model only when one is chosen", () => {
    expect(requestOf(stateOf({}), FORM)).toEqual({ prompt: "a fox", parameters: {} });
    expect(requestOf(stateOf({ model: "a/b" }), FORM).model).toBe("a/b");
  });

  it("makes numbers of what was typed as numbers, and leaves the rest to the server", () => {
    expect(parametersOf({ values: { seed: "7.", steps: "many" } })).toEqual({ seed: 7, steps: "many" });
  });

  it("takes other parameters as JSON; the form's own go before", () => {
    expect(parametersOf({ extra: '{"steps": 1, "lora": "x"}', values: { steps: 30 } })).toEqual({
      steps: 30,
      lora: "x",
    });
  });

  it("refuses other parameters that are no JSON object, if the model takes any", () => {
    for (const extra of ["{", "[1]", "null", '"x"', "7"]) {
      expect(errorOf(refusalOf({ extra }).fields, "extra"), extra).toContain("JSON object");
      expect(parametersOf({ extra }, CLOSED)).toEqual({});
    }
  });

  it("needs a prompt", () => {
    expect(errorOf(refusalOf({ prompt: " \n" }).fields, "prompt")).toBe("Write a prompt first.");
  });

  it("needs what the schema needs, and says all that is wrong at once", () => {
    const form = readForm({
      properties: { image: { type: "string", format: "uri" }, mood: { default: "calm" }, constructor: {} },
      required: ["image", "mood", "constructor"],
    });
    const { message, fields } = refusalOf({ prompt: "" }, form);
    expect(message).toBe("Write a prompt first. Constructor is needed. Image is needed.");
    expect(errorOf(fields, { name: "image" })).toBe("Image is needed.");
    expect(parametersOf({ values: { image: "data:", constructor: 1 } }, form)).toEqual({
      image: "data:",
      constructor: 1,
    });
  });

  it("sends a field of any name", () => {
    const form = readForm(JSON.parse('{"properties": {"__proto__": {"type": "string"}}}'));
    setValue("__proto__", "x");
    expect(JSON.stringify(requestOf({ ...composer.get(), prompt: "a" }, form).parameters)).toBe(
      '{"__proto__":"x"}',
    );
  });
});

describe("a shape", () => {
  it.each([
    ["1:1", 1024, 1024],
    ["3:2", 1280, 832],
    ["16:9", 1344, 768],
    ["9:16", 768, 1344],
  ])("%s is %i by %i", (shape, width, height) => {
    expect(sidesOf(shape)).toEqual({ width, height });
    expect(parametersOf({ values: { [SIDES]: shape } }, SIDED)).toEqual({ width, height });
  });

  it("goes before the width that was given before, and after the one that is given later", () => {
    fill({ prompt: "a", parameters: { width: 512, height: 512 } }, SIDED);
    setValue(SIDES, "16:9");
    expect(requestOf(composer.get(), SIDED).parameters).toEqual({ width: 1344, height: 768 });
    setValue("width", 640);
    expect(requestOf(composer.get(), SIDED).parameters).toEqual({ width: 640, height: 768 });
  });
});

describe("filling the form again", () => {
  it("gives the same request", () => {
    const request = { prompt: "old", model: "a/b", parameters: { steps: 5, lora: { weight: 1 }, seed: 0 } };
    composer.set({ prompt: "x", model: "c/d", values: { style: "bold" }, extra: "{bad" });
    fill(request, FORM);
    expect(requestOf(composer.get(), FORM)).toEqual(request);
  });

  it("keeps the prompt and the model when the link names none", () => {
    composer.set({ prompt: "mine", model: "a/b", values: {}, extra: "" });
    fill({ parameters: {} }, FORM);
    expect(composer.get()).toMatchObject({ prompt: "mine", model: "a/b" });
  });

  it("takes a shape for models of width and height", () => {
    fill({ prompt: "a", parameters: { [SIDES]: "2:3" } }, SIDED);
    expect(requestOf(composer.get(), SIDED).parameters).toEqual({ width: 832, height: 1280 });
  });

  it("can be shared before it is complete", () => {
    const form = readForm({ properties: { image: {} }, required: ["image"] });
    expect(unfinished(stateOf({ prompt: " a ", extra: "{" }), form)).toEqual({
      prompt: "a",
      model: "",
      parameters: {},
    });
  });
});

describe("the address", () => {
  const read = (query: string) => requestIn(new URLSearchParams(query));

  it("names parameters together or one by one", () => {
    expect(read('prompt=7&model=a/b&parameters={"steps":5}&seed=3&style=bold')).toEqual({
      prompt: "7",
      model: "a/b",
      parameters: { steps: 5, seed: 3, style: "bold" },
    });
  });

  it.each(["abc", "[1]", "null", "7"])("says when its parameters can't be read: %s", (text) => {
    toasts.set([]);
    expect(read(`parameters=${text}`).parameters).toEqual({});
    expect(toasts.get()[0]?.text).toContain("could not be read");
  });
});

it("finds the error of a field, of something in it, and of no other", () => {
  const errors = [
    { field: "parameters.tags.0", message: "no text" },
    { field: "prompt", message: "too long" },
  ];
  expect(errorOf(errors, { name: "tags" })).toBe("no text");
  expect(errorOf(errors, "prompt")).toBe("too long");
  expect(errorOf(errors, { name: "tag" })).toBeUndefined();
});
