// The plain page: one job on the stage, all in the gallery, kept up to date by the server's events.
// What comes from a prompt, a model or an error goes in as text; nothing here parses markup.

import { atWork, clock, countName, countOf, facts, layout, now, ratioOf, reason, since, words } from "./words.js";

const SHAPES = ["1:1", "3:2", "16:9", "2:3", "9:16"];
const FACTS = "created submitted accepted progress retrying reconciling storing cancel_requested succeeded failed canceled deleted";
const PAGE = 24; // jobs
const QUIET_MS = 10_000; // a job at work that says nothing for so long is asked: not every change is an event
const BURST = 8; // jobs to ask for one by one; of more the newest page is read

const $ = (id) => document.getElementById(id);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const views = new Map(); // job id -> { job, item, button, cell, note, bar, heardAt }
const stale = new Set(); // ids of jobs to ask for
let models = [];
let selected = null; // id of the job on the stage
let cursor = null; // of the page after the gallery's last job
let drafts = 0;

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
  $(id).hidden = !text;
}

async function call(path, { method = "GET", body, headers = {} } = {}) {
  if (body) headers = { ...headers, "content-type": "application/json" };
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const ahead = Date.parse(answer.headers.get("date")) - Date.now();
  clock.skew = Math.abs(ahead) > 2000 ? ahead : 0; // the header knows whole seconds only
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  throw Object.assign(new Error(said.detail ?? `The server answered ${answer.status}`), { status: answer.status });
}

// ------------------------------------------------------------------------------------------------ pictures

function blankCell(job) {
  const cell = make("span", { className: "cell" });
  const sum = [...job.prompt].reduce((all, letter) => (all * 31 + letter.codePointAt(0)) >>> 0, 7);
  cell.style.setProperty("--x", `${sum % 100}%`);
  cell.style.setProperty("--y", `${(sum >>> 8) % 100}%`);
  return cell;
}

function develop(cell, job, artifact, small) {
  if (!artifact || cell.dataset.key === artifact.key) return;
  cell.dataset.key = artifact.key;
  const address = `media/${artifact.key}`;
  const done = () => cell.classList.add("developed");
  const other = () => cell.replaceChildren(make("span", { className: "file", textContent: artifact.media_type }));
  if (artifact.kind === "video" && !small) {
    return cell.replaceChildren(make("video", { src: address, controls: true, loop: true, muted: true }));
  }
  if (artifact.kind !== "image") return other();
  const soft = make("img", { className: "soft", alt: "" });
  if (artifact.placeholder?.startsWith("data:image/")) soft.src = artifact.placeholder;
  const sharp = make("img", { className: "sharp", alt: job.prompt, onload: done, onerror: other });
  if (small) sharp.loading = "lazy";
  sharp.src = small ? `${address}?variant=thumbnail` : address;
  if (sharp.complete) done();
  cell.replaceChildren(soft, sharp);
}

function setBar(bar, job) {
  bar.hidden = !atWork(job);
  bar.classList.toggle("unknown", job.progress == null);
  bar.style.setProperty("--done", job.progress ?? 0);
}

// ------------------------------------------------------------------------------------------------ stage

function showStage() {
  const job = views.get(selected)?.job;
  $("stage").hidden = !job;
  if (!job) return;
  showFrame($("frame"), job);
  setBar($("bar"), job);
  $("bar").ariaValueNow = job.progress == null ? null : Math.round(job.progress * 100);
  $("words").className = `words ${job.status}`;
  say("words", words(job));
  say("since", since(job, [...views.values()].map((view) => view.job)));
  $("since").title = new Date(job.completed_at ?? job.created_at).toLocaleString();
  say("reason", reason(job, !$("mock").hidden));
  say("said", job.prompt);
  say("facts", facts(job));
  const lostFocus = document.activeElement === $("cancel") && !atWork(job);
  $("cancel").hidden = !atWork(job) || job.cancel_requested || job.draft;
  $("retry").hidden = job.status !== "failed" && job.status !== "canceled";
  $("details").hidden = job.draft;
  $("details").href = `jobs/${job.id}`;
  if (lostFocus) $("stage").focus({ preventScroll: true });
}

function showFrame(frame, job) {
  const shows = [job.id, countOf(job)].join();
  if (frame.dataset.shows !== shows) {
    frame.dataset.shows = shows;
    const cells = Array.from({ length: countOf(job) }, () => blankCell(job));
    frame.replaceChildren(...cells.map((cell) => make("a", { target: "_blank", rel: "noopener" }, cell)));
    $("downloads").replaceChildren();
  }
  const { columns, whole, lead } = layout(job);
  const shape = { "--ratio": ratioOf(job), "--columns": columns, "--whole": whole };
  for (const [name, value] of Object.entries(shape)) frame.style.setProperty(name, value);
  frame.className = `frame ${job.status}${atWork(job) ? " working" : ""}${lead ? " lead" : ""}`;
  [...frame.children].forEach((link, index) => {
    if (job.artifacts[index]) link.href = `media/${job.artifacts[index].key}`;
    develop(link.firstChild, job, job.artifacts[index], false);
  });
  if ($("downloads").children.length === job.artifacts.length) return;
  const text = (index) => (job.artifacts.length > 1 ? `Download ${index + 1}` : "Download");
  const link = ({ key }, index) => make("a", { href: `media/${key}?download=true`, download: "", textContent: text(index) });
  $("downloads").replaceChildren(...job.artifacts.map(link));
}

function select(id) {
  views.get(selected)?.button.removeAttribute("aria-current");
  selected = id;
  views.get(id)?.button.setAttribute("aria-current", "true");
  say("trouble", "");
  showStage();
}

async function act(path) {
  say("trouble", "");
  try {
    return merge(await call(path, { method: "POST" }));
  } catch (error) {
    say("trouble", error.status ? error.message : "The server can't be reached. Try again once it is back.");
  }
}

// ------------------------------------------------------------------------------------------------ gallery

function addTile(job) {
  const [cell, note, bar] = [blankCell(job), make("span", { className: "note" }), make("span", { className: "bar" })];
  const button = make("button", { type: "button" }, cell, note, bar);
  const item = make("li", { className: "tile" }, button);
  item.dataset.id = job.id;
  button.onclick = () => {
    select(item.dataset.id);
    $("stage").scrollIntoView({ block: "start" });
    $("stage").focus({ preventScroll: true });
  };
  const older = [...$("gallery").children].find((other) => other.dataset.id < job.id);
  $("gallery").insertBefore(item, older ?? null);
  const view = { job, item, button, cell, note, bar, heardAt: Date.now() };
  views.set(job.id, view);
  return view;
}

function showTile({ job, item, button, cell, note, bar }) {
  item.className = `tile ${job.status}${atWork(job) ? " working" : ""}`;
  item.style.setProperty("--ratio", ratioOf(job));
  item.dataset.count = countOf(job) > 1 ? countOf(job) : "";
  const text = job.status === "completed" ? job.prompt : job.status === "failed" ? job.error_message : words(job);
  if (note.textContent !== text) note.textContent = text;
  button.ariaLabel = `${job.prompt}. ${words(job)}`;
  develop(cell, job, job.artifacts[0], true);
  setBar(bar, job);
}

function merge(job) {
  const view = views.get(job.id) ?? addTile(job);
  view.heardAt = Date.now();
  if (job.updated_at < view.job.updated_at) return view.job;
  const ended = atWork(view.job) && !atWork(job);
  view.job = job;
  showTile(view);
  if (selected === null) select(job.id);
  else if (selected === job.id) showStage();
  if (ended) $("announce").textContent = `${words(job)}: ${job.prompt.slice(0, 100)}`;
  showLists();
  return job;
}

function forget(id) {
  views.get(id)?.item.remove();
  views.delete(id);
  if (selected === id) select($("gallery").firstChild?.dataset.id ?? null);
  showLists();
}

function showLists() {
  $("empty").hidden = views.size > 0;
  $("earlier").hidden = views.size < 2;
  $("more").hidden = !cursor;
}

// ------------------------------------------------------------------------------------------------ staying up to date
