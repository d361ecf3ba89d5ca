// The plain page: one job on the stage, all in the gallery, kept up to date by the server's events.
// What comes from a prompt, a model or an error goes in as text; nothing here parses markup.

import { fill, setModels, setUp, setUpExamples } from "./composer.js";
import { blankCell, develop, make, setBar, showFrame } from "./pictures.js";
import { call, listen, send } from "./server.js";
import { atWork, countOf, facts, now, ratioOf, reason, since, words } from "./words.js";

const PAGE = 24; // jobs
const QUIET_MS = 10_000; // a job at work that says nothing for so long is asked: not every change is an event
const BURST = 8; // jobs to ask for one by one; of more the newest page is read
const TWICE_MS = 500; // a second click so soon is half of a double click, and may meet another button
const UNSENT = { draft: true, status: "pending", message: "Sending", progress: null, artifacts: [] };

const $ = (id) => document.getElementById(id);
const views = new Map(); // job id -> { job, item, button, cell, note, bar, heardAt }
const stale = new Set(); // ids of jobs to ask for
let selected = null; // id of the job on the stage
let cursor = null; // of the page after the gallery's last job
let paged = false; // whether the cursor is known
let drafts = 0;
let actedAt = 0;

const jobs = () => [...views.values()].map((view) => view.job);

function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
  $(id).hidden = !text;
}

// ------------------------------------------------------------------------------------------------ stage

function showStage() {
  const job = views.get(selected)?.job;
  $("stage").hidden = !job;
  if (!job) return;
  showFrame(job);
  setBar($("bar"), job);
  $("bar").ariaValueNow = job.progress == null ? null : Math.round(job.progress * 100);
  $("words").className = `words ${job.status}`;
  say("words", words(job));
  say("since", since(job, jobs()));
  $("since").title = new Date(job.completed_at ?? job.created_at).toLocaleString();
  say("reason", reason(job, !$("mock").hidden));
  say("said", job.prompt);
  say("facts", facts(job));
  const lostFocus = document.activeElement === $("cancel") && !atWork(job);
  $("cancel").hidden = !atWork(job) || job.cancel_requested || job.draft;
  $("retry").hidden = job.status !== "failed" && job.status !== "canceled";
  $("reuse").hidden = atWork(job);
  $("details").hidden = job.draft;
  $("details").href = `jobs/${job.id}`;
  if (lostFocus) $("stage").focus({ preventScroll: true });
}

function select(id) {
  views.get(selected)?.button.removeAttribute("aria-current");
  selected = id;
  views.get(id)?.button.setAttribute("aria-current", "true");
  say("trouble", "");
  showStage();
}

function bringStage() {
  const { top } = $("stage").getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) $("stage").scrollIntoView({ block: "start" });
}

async function act(path) {
  if (Date.now() - actedAt < TWICE_MS) return;
  actedAt = Date.now();
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
    bringStage();
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
  item.style.setProperty("--ratio", Math.min(2.4, Math.max(0.5, ratioOf(job)))); // extreme ones would tear the rows
  item.dataset.count = countOf(job) > 1 ? countOf(job) : "";
  const text = { completed: job.prompt, failed: job.error_message }[job.status] ?? words(job);
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
  if (selected === null && (paged || job.status !== "canceled")) select(job.id);
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

function ask(id) {
  if (stale.size === 0) setTimeout(catchUp, 100);
  stale.add(id);
}

async function catchUp() {
  if (stale.size > BURST || !paged) await refresh();
  const ids = [...stale];
  stale.clear();
  const oldest = cursor ? $("gallery").lastChild?.dataset.id : ""; // those before it come with "More"
  const wanted = ids.filter((id) => views.has(id) || (ids.length <= BURST && id > oldest));
  await Promise.all(wanted.slice(0, BURST).map(look));
}

async function look(id) {
  try {
    merge(await call(`status/${id}`));
  } catch (error) {
    if (error.status === 404) forget(id);
  }
}

async function refresh() {
  const page = await call(`jobs?limit=${PAGE}`).catch(() => null);
  if (!page) return;
  const gap = paged && !page.items.some(({ id }) => views.has(id)); // so many are new that some between are missing
  if (gap) for (const { id, draft } of jobs()) if (!draft && id !== selected) forget(id);
  if (gap || !paged) cursor = page.next_cursor;
  page.items.forEach(merge);
  paged = true;
  if (selected === null) select($("gallery").firstChild?.dataset.id ?? null);
  const fresh = new Set(page.items.map(({ id }) => id));
  for (const job of jobs()) if (atWork(job) && !job.draft && !fresh.has(job.id)) ask(job.id);
  showLists();
}

async function readModels() {
  const { items, mock_mode } = await call("models").catch(() => ({}));
  if (!items) return;
  setModels(items);
  $("mock").hidden = !mock_mode;
}

setInterval(() => {
  for (const view of views.values()) {
    if (!atWork(view.job) || view.job.draft) continue;
    showTile(view);
    if (Date.now() - view.heardAt > QUIET_MS) ask(view.job.id);
  }
  showStage();
}, 1000);

// ------------------------------------------------------------------------------------------------ what hands do

async function submit(request) {
  const [id, at] = [`~${++drafts}`, new Date(now()).toISOString()];
  merge({ ...request, ...UNSENT, id, created_at: at, updated_at: at });
  select(id);
  bringStage();
  try {
    const waits = () => merge({ ...views.get(id).job, message: "The server is away. It is sent once it is back" });
    const job = merge(await send(request, waits));
    if (selected === id) select(job.id);
  } finally {
    forget(id);
  }
}

async function showMore() {
  const page = await call(`jobs?limit=${PAGE}&cursor=${encodeURIComponent(cursor)}`).catch(() => null);
  if (!page) return;
  cursor = page.next_cursor;
  page.items.forEach(merge);
  showLists();
  views.get(page.items[0]?.id)?.button.focus();
}

$("cancel").onclick = () => act(`jobs/${selected}/cancel`);
$("retry").onclick = async () => {
  const job = await act(`jobs/${selected}/retry`);
  if (job) select(job.id);
};
$("reuse").onclick = () => fill(views.get(selected).job);
$("more").onclick = showMore;
$("stage").onkeydown = (event) => event.key === "Escape" && views.get(selected)?.button.focus();
$("gallery").onkeydown = ({ key, target }) => {
  const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[key];
  target.closest("li")?.[step]?.firstChild.focus();
};
addEventListener("beforeunload", (event) => {
  if (jobs().some(({ draft }) => draft)) event.preventDefault();
});
setUp(submit);
setUpExamples();
refresh();
listen({
  onOpen: () => {
    $("offline").hidden = true;
    refresh();
    readModels();
  },
  onLoss: () => ($("offline").hidden = false),
  onEvent: ({ type, job_id: id, at, data }) => {
    if (type === "deleted") forget(id);
    else if (type !== "progress" || !views.has(id)) ask(id);
    else merge({ ...views.get(id).job, progress: data.progress, updated_at: at });
  },
});
