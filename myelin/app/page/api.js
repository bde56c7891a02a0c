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
    await new Promise((done) => setTimeout(done, 20));
    quiet = pending === 0 && !run.running ? quiet + 1 : 0;
  }
}

export async function call(work) {
  begin();
  try {
    const response = await work();
    if (response.ok) return response;
    const text = await response.text();
    let lines = [text];
    try { lines = JSON.parse(text).error; } catch { /* not from this server's functions */ }
    throw new Error(lines.join("\n"));
  } catch (error) {
    onError(error.message);
    throw error;
  } finally {
    end();
  }
}

export const url = (path, query = {}) => `/api/${path}?${new URLSearchParams(query)}`;

export async function get(path, query) {
  return (await call(() => fetch(url(path, query)))).json();
}

export async function post(path, body) {
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  return (await call(() => fetch(url(path), options))).json();
}

export async function upload(name, file) {
  return (await call(() => fetch(url("upload", { name }), { method: "POST", body: file }))).json();
}

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
