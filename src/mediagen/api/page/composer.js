// The form: offers what the chosen model's schema takes, and says what is asked for.

import { blankCell } from "./pictures.js";
import { countName } from "./words.js";

const SHAPES = ["1:1", "3:2", "16:9", "2:3", "9:16"];
const MOST_PICTURES = 4;
const TWICE_MS = 500; // a second submit so soon is a double click, and would be paid for

const $ = (id) => document.getElementById(id);
let models = [];
let submittedAt = 0;

const model = () => models.find(({ id }) => id === $("model").value) ?? models[0];
const properties = () => model()?.input_schema.properties ?? {};
const chosen = (name) => document.querySelector(`input[name=${name}]:checked`)?.value;

function refuse(text) {
  $("refusal").textContent = text;
  $("refusal").hidden = !text;
  $("refusal").scrollIntoView({ block: "nearest" });
}

export function setModels(items) {
  if (JSON.stringify(items) === JSON.stringify(models)) return; // what has the focus keeps it
  const before = $("model").value;
  models = items;
  $("model").replaceChildren(...items.map(({ id }) => new Option(id, id)));
  if (items.some(({ id }) => id === before)) $("model").value = before;
  offer();
}

function offer() {
  const { aspect_ratio: ratio, width, height, seed, ...others } = properties();
  const name = countName(others);
  const shapes =
    ratio || (width && height && !width.enum)
      ? SHAPES.filter((shape) => !ratio?.enum || ratio.enum.includes(shape))
      : [];
  const most = name ? Math.min(MOST_PICTURES, others[name].maximum ?? MOST_PICTURES) : 0;
  choices("shape", shapes, ratio?.default);
  choices(
    "count",
    Array.from({ length: most }, (_, index) => String(index + 1)),
    String(others[name]?.default),
  );
  $("shapes").hidden = shapes.length < 2;
  $("counts").hidden = most < 2;
  $("seeds").hidden = !seed;
  $("about").textContent = model()?.description ?? "";
}

function choices(name, values, usual) {
  const wanted = [chosen(name), usual, values[0]].find((value) => values.includes(value));
  const choice = (value) => {
    const input = Object.assign(document.createElement("input"), {
      type: "radio",
      name,
      value,
      checked: value === wanted,
    });
    const [label, glyph] = [document.createElement("label"), document.createElement("span")];
    const [across, down] = value.split(":").map(Number);
    glyph.className = down ? "glyph" : "unseen";
    glyph.style.setProperty("--ratio", across / down || 1);
    glyph.classList.toggle("upright", down > across);
    label.append(input, glyph, value);
    return label;
  };
  $(`${name}-choices`).replaceChildren(...values.map(choice));
}

function missing(id, text) {
  refuse(text);
  $(id).focus();
  return null;
}

// Return the request, or null after saying what is missing.
function asked() {
  const [prompt, seed, shape, count] = [$("prompt").value, $("seed").value.trim(), chosen("shape"), chosen("count")];
  if (!prompt.trim()) return missing("prompt", "Write a prompt first.");
  if (!/^\d*$/.test(seed)) return missing("seed", "The seed must be a whole number, or nothing.");
  refuse("");
  const offered = properties();
  const parameters = {};
  if (shape && offered.aspect_ratio) parameters.aspect_ratio = shape;
  else if (shape) [parameters.width, parameters.height] = sides(shape);
  if (count) parameters[countName(offered)] = Number(count);
  if (seed && offered.seed) parameters.seed = Number(seed);
  return { prompt, parameters, ...(model() && { model: model().id }) };
}

// About a million pixels, in steps that models like.
function sides(shape) {
  const [across, down] = shape.split(":");
  return [across / down, down / across].map((ratio) => Math.round((1024 * Math.sqrt(ratio)) / 64) * 64);
}

export function fill({ prompt, model: id, parameters }) {
  $("prompt").value = prompt;
  if (models.some((known) => known.id === id)) $("model").value = id;
  offer();
  for (const input of document.querySelectorAll("input[name=shape]")) {
    const [width, height] = sides(input.value);
    input.checked ||=
      input.value === parameters.aspect_ratio || (width === parameters.width && height === parameters.height);
  }
  for (const input of document.querySelectorAll("input[name=count]"))
    input.checked ||= Number(input.value) === parameters[countName(parameters)];
  $("seed").value = parameters.seed ?? "";
  refuse("");
  $("prompt").focus();
}

// `submit` takes a request; what it throws is shown.
export function setUp(submit) {
  const [form, prompt] = [$("composer"), $("prompt")];
  if (/Mac|iPhone|iPad/.test(navigator.platform)) $("shortcut").textContent = "⌘ Enter";
  $("model").onchange = offer;
  prompt.oninput = () => {
    const left = prompt.maxLength - prompt.value.length;
    $("room-left").hidden = left > 500;
    $("room-left").textContent = `${left} characters left`;
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    if (Date.now() - submittedAt < TWICE_MS) return;
    const request = asked();
    if (!request) return;
    submittedAt = Date.now();
    submit(request).catch((error) => refuse(error.message));
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat) form.requestSubmit();
  });
}

export function setUpExamples() {
  for (const item of document.querySelectorAll("li.example")) {
    const [button, prompt, shape] = [item.firstElementChild, item.textContent.trim(), item.dataset.shape];
    const [across, down] = shape.split(":");
    item.style.setProperty("--ratio", across / down);
    button.prepend(blankCell({ prompt }));
    button.onclick = () => fill({ prompt, parameters: { aspect_ratio: shape } });
  }
}
