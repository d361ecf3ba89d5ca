import { countName } from "@/entities/job/shape";

export type FieldKind =
  | "shape"
  | "count"
  | "seed"
  | "image"
  | "images"
  | "choice"
  | "switch"
  | "range"
  | "number"
  | "text"
  | "json";

/** One control of the form, as the model's schema describes it. */
export interface Field {
  name: string;
  kind: FieldKind;
  title: string;
  description: string;
  /** Taken when nothing is given. */
  usual: unknown;
  required: boolean;
  choices: (string | number)[];
  min?: number;
  max?: number;
  whole: boolean;
}

export interface Form {
  /** The few that matter for nearly every picture. */
  main: Field[];
  /** All others. */
  more: Field[];
  /** Whether the model takes what its schema does not name. */
  open: boolean;
}

interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  format?: string;
  minimum?: number;
  maximum?: number;
  items?: object;
  "x-order"?: number;
}

const isText = (value: unknown) => typeof value === "string";
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** What is read of a schema, and when: it comes from whoever made the model. */
const KEYWORDS = new Map<string, (value: unknown) => boolean>([
  ["type", (value) => isText(value) || Array.isArray(value)],
  ["title", isText],
  ["description", isText],
  ["default", () => true],
  ["enum", Array.isArray],
  ["format", isText],
  ["minimum", Number.isFinite],
  ["maximum", Number.isFinite],
  ["items", isObject],
  ["x-order", Number.isFinite],
]);

const MAIN: FieldKind[] = ["images", "image", "shape", "count", "seed"];
const MOST_COUNT = 4;
const RATIO = /^\d{1,4}:\d{1,4}$/;
export const SHAPES = ["1:1", "3:2", "16:9", "2:3", "9:16"];
/** A shape for models that take width and height only; no parameter of its own. */
export const SIDES = "*sides";

/** Read the form out of a model's schema; an empty schema gives an open form without fields. */
export function readForm(schema: Record<string, unknown> | undefined): Form {
  const properties = isObject(schema?.properties) ? schema.properties : {};
  const required = listOf(schema?.required);
  const names = Object.keys(properties).filter((name) => name !== "prompt");
  const known = Object.fromEntries(names.map((name) => [name, flat(properties[name])]));
  const order = (name: string) => known[name]?.["x-order"] ?? names.indexOf(name);
  const fields = names
    .sort((a, b) => order(a) - order(b))
    .map((name) => readField(name, known[name] ?? {}, required.includes(name), known));
  const shaped = fields.some(({ kind }) => kind === "shape");
  if (!shaped && isSide(known.width) && isSide(known.height)) fields.unshift(sidesField());
  const isMain = ({ kind, required: needed }: Field) => MAIN.includes(kind) || needed;
  const rank = ({ kind }: Field) => (MAIN.includes(kind) ? MAIN.indexOf(kind) : -1);
  return {
    main: fields.filter(isMain).sort((a, b) => rank(a) - rank(b)),
    more: fields.filter((field) => !isMain(field)),
    open: schema?.additionalProperties !== false,
  };
}

/** Draw together what stands in allOf and anyOf (a value or null), as generated schemas like to have it. */
function flat(schema: unknown): Schema {
  if (!isObject(schema)) return {};
  const isNull = (part: unknown) => isObject(part) && part.type === "null";
  const values = listOf(schema.anyOf).filter((part) => !isNull(part));
  const parts = [...listOf(schema.allOf), ...values.slice(0, 1)].map(flat);
  const own = Object.entries(schema).filter(([keyword, value]) => KEYWORDS.get(keyword)?.(value));
  return Object.assign({}, ...parts, Object.fromEntries(own));
}

const typeOf = ({ type }: Schema) => (Array.isArray(type) ? type.find((one) => one !== "null") : type);
const isSide = (schema?: Schema) => schema !== undefined && typeOf(schema) === "integer" && !schema.enum;
const isUri = (schema?: Schema) => typeOf(schema ?? {}) === "string" && schema?.format === "uri";

function readField(name: string, schema: Schema, required: boolean, all: Record<string, Schema>): Field {
  const kind = kindOf(name, schema, all);
  return {
    name,
    kind,
    title: schema.title || sentenceOf(name),
    description: schema.description ?? "",
    usual: schema.default ?? undefined,
    required,
    choices: kind === "count" ? counts(schema) : [...new Set(optionsOf(schema) as string[])],
    min: schema.minimum,
    max: schema.maximum,
    whole: typeOf(schema) === "integer",
  };
}

function kindOf(name: string, schema: Schema, all: Record<string, Schema>): FieldKind {
  const type = typeOf(schema);
  if (name === "aspect_ratio" && schema.enum?.some((value) => RATIO.test(String(value)))) return "shape";
  if (name === countName(all) && type === "integer" && counts(schema).length > 1) return "count";
  if (name === "seed" && type === "integer") return "seed";
  if (isUri(schema)) return "image";
  if (type === "array" && isUri(flat(schema.items))) return "images";
  const options = optionsOf(schema);
  if (options.length > 0 && options.every((value) => ["string", "number"].includes(typeof value)))
    return "choice";
  if (type === "boolean") return "switch";
  if (type === "integer" || type === "number") {
    return Number(schema.minimum) < Number(schema.maximum) ? "range" : "number";
  }
  return type === "string" ? "text" : "json";
}

const optionsOf = ({ enum: options = [] }: Schema) => options.filter((value) => value !== null);

function counts({ minimum = 1, maximum = MOST_COUNT }: Schema): number[] {
  const all = Array.from({ length: Math.min(MOST_COUNT, maximum) }, (_, index) => index + 1);
  return all.filter((value) => value >= minimum);
}

const sidesField = (): Field => ({
  name: SIDES,
  kind: "shape",
  title: "Shape",
  description: "Sets width and height.",
  usual: undefined,
  required: false,
  choices: SHAPES,
  whole: false,
});

function sentenceOf(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
