// How the page talks with the server: calls, sends that survive an outage, and the stream of events.

import { clock } from "./words.js";

const TYPES =
  "created submitted accepted progress retrying reconciling storing cancel_requested succeeded failed canceled deleted";
const AGAIN_MS = 2000;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Return the JSON of the answer. Throws an Error with the problem's text and its `status`; none without an answer.
export async function call(path, { method = "GET", body, headers = {} } = {}) {
  if (body) headers = { ...headers, "content-type": "application/json" };
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const ahead = Date.parse(answer.headers.get("date")) - Date.now();
  clock.skew = Math.abs(ahead) > 2000 ? ahead : 0; // the header knows whole seconds only
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  throw Object.assign(new Error(said.detail ?? `The server answered ${answer.status}`), { status: answer.status });
}

// Submit a job; while the server is away, again and again. The key makes that safe: it is made and paid once.
export async function send(body, onWait) {
  const key = Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");
  for (;;) {
    try {
      return await call("generate", { method: "POST", body, headers: { "idempotency-key": key } });
    } catch (error) {
      if (error.status && ![502, 503, 504].includes(error.status)) throw error;
      onWait();
    }
    await pause(AGAIN_MS);
  }
}

// Follow the events of all jobs for ever; after an outage those that were missed come first.
export function listen({ onOpen, onLoss, onEvent }, last = "") {
  const source = new EventSource(`events${last && `?last_event_id=${last}`}`);
  source.onopen = onOpen;
  source.onerror = () => {
    onLoss();
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS, { onOpen, onLoss, onEvent }, last);
  };
  const hear = (event) => {
    last = event.lastEventId;
    onEvent(JSON.parse(event.data));
  };
  for (const type of TYPES.split(" ")) source.addEventListener(type, hear);
}
