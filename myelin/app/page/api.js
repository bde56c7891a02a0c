// Requests to the server. Counts what is under way, so that app.idle() can wait for its end.

let pending = 0;
let onError = () => {};
export const run = { running: false };

export function begin() { pending += 1; }
export function end() { pending -= 1; }
export function setErrorHandler(handler) { onError = handler; }

// Resolve when nothing is under way: no request, no tile, no command.
export async function idle() {
  let quiet = 0;
  while (quiet < 3) {
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 20))); // what is queued is drawn
    quiet = pending === 0 && !run.running ? quiet + 1 : 0;
  }
}

// Return the answer to a request; undefined after a mistake, which is shown.
async function call(work) {
  begin();
  try {
    const response = await work();
    if (response.ok) return unpacked(await response.json());
    const text = await response.text();
    onError(text.startsWith("{") ? JSON.parse(text).error.join("\n") : text);
  } catch (error) {
    onError(error.message);
  } finally {
    end();
  }
}

// Columns of fibers come as 32-bit floats, or as places in words.
function unpacked(result) {
  for (const [key, { floats, words }] of Object.entries(result.fibers ?? {})) {
    const bytes = Uint8Array.from(atob(floats), (letter) => letter.charCodeAt(0));
    result.fibers[key] = Array.from(new Float32Array(bytes.buffer),
      words ? (place) => words[place] : (value) => (Number.isNaN(value) ? null : value));
  }
  return result;
}

export const url = (path, query = {}) => `/api/${path}?${new URLSearchParams(query)}`;

export const get = (path, query) => call(() => fetch(url(path, query)));
export const upload = (name, file) => call(() => fetch(url("upload", { name }), { method: "POST", body: file }));
export const post = (path, body) => call(() => fetch(url(path), { method: "POST", body: JSON.stringify(body),
  headers: { "content-type": "application/json" } }));

// Call back with each status that the server reports: the run, and which images changed.
export function listen(handler) {
  const events = new EventSource("/api/events");
  events.onmessage = (event) => handler(JSON.parse(event.data));
}

export const $ = (selector) => document.querySelector(selector);
export const test = (name) => document.querySelector(`[data-testid="${name}"]`);

// Make an element: tag, properties, children.
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  if (properties.testid) element.dataset.testid = properties.testid;
  element.append(...children);
  return element;
}
