import type { Job, JobRequest } from "@/shared/api/jobs";
import type { FieldError } from "@/shared/api/problem";
import { createStoredStore } from "@/shared/lib/storage";
import { type Field, type FieldKind, type Form, SIDES } from "./schema";

export type Values = Record<string, unknown>;

/** What stands in the form. It outlives a reload; values wait here when another model does not take them. */
export interface Composer {
  prompt: string;
  /** Empty: the server's default. */
  model: string;
  values: Values;
  /** Parameters that the schema does not name, as JSON. */
  extra: string;
}

export const EMPTY: Composer = { prompt: "", model: "", values: {}, extra: "" };
export const composer = createStoredStore<Composer>("composer", EMPTY);

export const change = (part: Partial<Composer>) => composer.set((before) => ({ ...before, ...part }));

export const setValue = (name: string, value: unknown) =>
  composer.set((before) => {
    const typed = name === SIDES ? { width: undefined, height: undefined } : {}; // the later choice counts
    return { ...before, values: { ...before.values, ...typed, [name]: value } };
  });

/** The value of a field, whatever the model's author called it. */
export const given = (values: Values, name: string): unknown =>
  Object.hasOwn(values, name) ? values[name] : undefined;

const AREA_SIDE = 1024; // pictures of any shape have about the area of this square
const SIDES_STEP = 64; // pixels; models like such sizes

/** Width and height of a shape, about a million pixels. */
export function sidesOf(shape: string): { width: number; height: number } {
  const [across = 1, down = 1] = shape.split(":").map(Number);
  const side = (ratio: number) => Math.round((AREA_SIDE * Math.sqrt(ratio)) / SIDES_STEP) * SIDES_STEP;
  return { width: side(across / down), height: side(down / across) };
}

const NUMBERS: FieldKind[] = ["seed", "range", "number"];

/** The number that a text is; what is none stays as it is, for the server to refuse. */
export function numberIn(value: unknown): unknown {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
  return Number.isFinite(number) ? number : value;
}

const isGiven = (value: unknown) => value !== undefined && value !== "" && value !== null;

/** The parameters that the form asks for: what differs from the model's own defaults. */
function parametersOf(values: Values, form: Form): Values {
  const asked: Values = Object.create(null); // so that no name is special
  for (const field of [...form.main, ...form.more]) {
    const written = given(values, field.name);
    const value = NUMBERS.includes(field.kind) ? numberIn(written) : written;
    if (!isGiven(value) || (Array.isArray(value) && value.length === 0)) continue;
    if (field.name === SIDES) Object.assign(asked, sidesOf(String(value)));
    else if (value !== field.usual) asked[field.name] = value;
  }
  return asked;
}

/** What is wrong before anything is sent. */
export class Refusal extends Error {
  readonly fields: FieldError[];

  constructor(fields: FieldError[]) {
    super(fields.map(({ message }) => message).join(" "));
    this.fields = fields;
  }
}

/** The request that the form makes. Throws `Refusal` naming the fields that miss something. */
export function requestOf({ prompt, model, values, extra }: Composer, form: Form): JobRequest {
  const wrong: FieldError[] = [];
  if (!prompt.trim()) wrong.push({ field: "prompt", message: "Write a prompt first." });
  const asked = parametersOf(values, form);
  for (const { name, title, required, usual } of [...form.main, ...form.more]) {
    if (required && !(name in asked) && usual === undefined) {
      wrong.push({ field: `parameters.${name}`, message: `${title} is needed.` });
    }
  }
  const others = form.open ? parseExtra(extra) : {};
  if (!others) wrong.push({ field: "extra", message: 'This must be a JSON object, such as {"steps": 20}.' });
  if (wrong.length > 0) throw new Refusal(wrong);
  return { prompt, ...(model && { model }), parameters: { ...others, ...asked } };
}

/** What stands in the form, complete or not: to be shared. */
export const unfinished = ({ prompt, model, values, extra }: Composer, form: Form) => ({
  prompt: prompt.trim(),
  model,
  parameters: { ...(form.open && parseExtra(extra)), ...parametersOf(values, form) },
});

function parseExtra(text: string): Values | null {
  if (!text.trim()) return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Values) : null;
  } catch {
    return null;
  }
}

/** Fill the form with an earlier request; what its model's schema does not name goes in as JSON. */
export function fill(request: Partial<Pick<Job, "prompt" | "model" | "parameters">>, form: Form): void {
  const names = new Set([...form.main, ...form.more].map(({ name }) => name));
  const all = Object.entries(request.parameters ?? {});
  const values = Object.fromEntries(all.filter(([name]) => names.has(name)));
  const others = all.filter(([name]) => !names.has(name));
  composer.set((before) => ({
    prompt: request.prompt ?? before.prompt,
    model: request.model ?? before.model,
    values,
    extra: others.length > 0 ? JSON.stringify(Object.fromEntries(others), null, 2) : "",
  }));
}

/** The error of one field, as the server or the form names it. */
export function errorOf(errors: FieldError[], field: Pick<Field, "name"> | string): string | undefined {
  const name = typeof field === "string" ? field : `parameters.${field.name}`;
  return errors.find((error) => error.field === name || error.field.startsWith(`${name}.`))?.message;
}
