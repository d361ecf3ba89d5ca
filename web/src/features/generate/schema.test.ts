// @vitest-environment node

import { describe, expect, it } from "vitest";
import { type Field, readForm, SIDES } from "./schema";

const formOf = (properties: Record<string, unknown>, more: object = {}) => readForm({ properties, ...more });

function fieldOf(schema: unknown, name = "thing"): Field {
  const { main, more } = formOf({ [name]: schema });
  const [field] = [...main, ...more];
  if (!field) throw new Error("no field");
  return field;
}

describe("a field's control", () => {
  it.each([
    [{ type: "string" }, "text"],
    [{ type: "string", enum: ["a", "b"] }, "choice"],
    [{ enum: [1, 2] }, "choice"],
    [{ type: "boolean" }, "switch"],
    [{ type: "number" }, "number"],
    [{ type: "integer", minimum: 0 }, "number"],
    [{ type: "number", minimum: 0, maximum: 1 }, "range"],
    [{ type: "string", format: "uri" }, "image"],
    [{ type: "array", items: { type: "string", format: "uri" } }, "images"],
    [{ type: "array", items: { allOf: [{ type: "string", format: "uri" }] } }, "images"],
    [{ type: "array", items: { type: "string" } }, "json"],
    [{ type: "object" }, "json"],
    [{}, "json"],
    [{ type: ["null", "boolean"] }, "switch"],
    [{ type: "null" }, "json"],
    [{ anyOf: [{ type: "null" }, { type: "integer" }] }, "number"],
    [{ allOf: [{ type: "string", enum: ["a"] }] }, "choice"],
    [{ type: "string", enum: ["a", null] }, "choice"],
    [{ type: "string", enum: [] }, "text"],
    [{ enum: [{ deep: true }] }, "json"],
    [{ type: "number", minimum: 1, maximum: 1 }, "number"],
    [{ type: "number", minimum: 5, maximum: 1 }, "number"],
  ])("of %j is: %s", (schema, kind) => {
    expect(fieldOf(schema).kind).toBe(kind);
  });

  it.each([
    ["seed", { type: "integer" }, "seed"],
    ["seed", { type: "string" }, "text"],
    ["num_outputs", { type: "integer", minimum: 1, maximum: 10 }, "count"],
    ["num_outputs", { type: "integer", minimum: 1, maximum: 1 }, "number"],
    ["aspect_ratio", { type: "string", enum: ["1:1", "custom"] }, "shape"],
    ["aspect_ratio", { type: "string", enum: ["wide", "tall"] }, "choice"],
  ])("of %s as %j is: %s", (name, schema, kind) => {
    expect(fieldOf(schema, name).kind).toBe(kind);
  });

  it("offers no more than four outputs, and as few as the model makes", () => {
    expect(fieldOf({ type: "integer", maximum: 50 }, "n").choices).toEqual([1, 2, 3, 4]);
    expect(fieldOf({ type: "integer", minimum: 2, maximum: 3 }, "n").choices).toEqual([2, 3]);
  });

  it("offers each choice once, and null never", () => {
    expect(fieldOf({ enum: ["a", "b", null, "a"] }).choices).toEqual(["a", "b"]);
  });
});

describe("a field", () => {
  it("is called by its title, or by its name in words", () => {
    expect(fieldOf({ title: "Guidance" }, "guidance_scale").title).toBe("Guidance");
    expect(fieldOf({ title: "" }, "guidance_scale").title).toBe("Guidance scale");
  });

  it("keeps defaults that are false, zero or empty; null is none", () => {
    expect(fieldOf({ default: 0 }).usual).toBe(0);
    expect(fieldOf({ default: false }).usual).toBe(false);
    expect(fieldOf({ default: "" }).usual).toBe("");
    expect(fieldOf({ default: null }).usual).toBeUndefined();
  });

  it("knows its bounds, and whether it is whole", () => {
    expect(fieldOf({ type: "integer", minimum: 1, maximum: 50 })).toMatchObject({
      min: 1,
      max: 50,
      whole: true,
    });
    expect(fieldOf({ type: "number" })).toMatchObject({ min: undefined, max: undefined, whole: false });
  });

  it("takes what it says itself before what its parts say", () => {
    const schema = { allOf: [{ title: "Part", type: "string", enum: ["a"] }], title: "Own", default: "a" };
    expect(fieldOf(schema)).toMatchObject({ title: "Own", choices: ["a"], usual: "a" });
  });
});

describe("a form", () => {
  it("never shows the prompt twice", () => {
    const { main, more } = formOf({ prompt: { type: "string" } }, { required: ["prompt"] });
    expect([...main, ...more]).toEqual([]);
  });

  it("puts what is needed first, then pictures, shape, count and seed; all others fold away", () => {
    const { main, more } = formOf(
      {
        steps: { type: "integer" },
        seed: { type: "integer" },
        n: { type: "integer" },
        aspect_ratio: { enum: ["1:1"] },
        image: { type: "string", format: "uri" },
        style: { type: "string" },
      },
      { required: ["style"] },
    );
    expect(main.map(({ name }) => name)).toEqual(["style", "image", "aspect_ratio", "n", "seed"]);
    expect(more.map(({ name }) => name)).toEqual(["steps"]);
  });

  it("follows x-order", () => {
    const { more } = formOf({ b: { "x-order": 2 }, a: { "x-order": 1 }, c: { "x-order": 0 } });
    expect(more.map(({ name }) => name)).toEqual(["c", "a", "b"]);
  });

  it("offers a shape to models that take width and height, unless they have their own", () => {
    const sides = { width: { type: "integer" }, height: { type: "integer" } };
    expect(formOf(sides).main.map(({ name }) => name)).toEqual([SIDES]);
    expect(formOf({ ...sides, aspect_ratio: { enum: ["1:1"] } }).main[0]?.name).toBe("aspect_ratio");
    expect(formOf({ width: { type: "integer" } }).main).toEqual([]);
  });

  it("is closed only when the schema says so", () => {
    expect(readForm({ additionalProperties: false }).open).toBe(false);
    expect(readForm({}).open).toBe(true);
    expect(readForm(undefined)).toEqual({ main: [], more: [], open: true });
  });
});

describe("a schema that makes no sense", () => {
  it.each([
    [null],
    [true],
    ["text"],
    [[]],
    [{ enum: "abc" }],
    [{ enum: { a: 1 } }],
    [{ anyOf: [null, 1] }],
    [{ anyOf: {} }],
    [{ allOf: "all" }],
    [{ type: 5, title: { en: "x" }, description: ["x"], minimum: "0", maximum: {}, items: null }],
    [{ type: "array", items: [] }],
    [{ "x-order": "first" }],
    [JSON.parse('{"__proto__": {"type": "string"}, "constructor": 1}')],
  ])("still gives a field: %j", (schema) => {
    const field = fieldOf(schema);
    expect(field).toMatchObject({ kind: "json", title: "Thing", description: "", choices: [] });
    expect([field.min, field.max]).toEqual([undefined, undefined]);
  });

  it.each([[null], ["all"], [[1]]])("still gives a form: properties %j", (properties) => {
    expect(readForm({ properties, required: properties })).toEqual({ main: [], more: [], open: true });
  });

  it("may call its fields whatever it likes", () => {
    const { more } = readForm(
      JSON.parse('{"properties": {"__proto__": {"type": "string"}, "constructor": {"type": "boolean"}}}'),
    );
    expect(more.map(({ name, kind }) => [name, kind])).toEqual([
      ["__proto__", "text"],
      ["constructor", "switch"],
    ]);
  });

  it("does not follow a schema into itself", () => {
    const tree = { $ref: "#/components/schemas/Input" };
    expect(fieldOf({ type: "array", items: tree }).kind).toBe("json");
    const loop: Record<string, unknown> = { type: "object" };
    loop.properties = { self: loop };
    loop.items = loop;
    expect(fieldOf(loop).kind).toBe("json");
  });
});
