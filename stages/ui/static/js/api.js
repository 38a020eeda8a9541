// The API of this server, and its events.

import { explain } from "./i18n.js";

const BASE = "api/v1";

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.code ? explain(body) : body?.message ?? `HTTP ${status}`);
    this.status = status;
    this.code = body?.code ?? "http_error";
    this.detail = body?.detail;
  }
}

async function answer(response) {
  if (response.status === 204) return null;
  const json = (response.headers.get("content-type") ?? "").includes("json");
  const body = json ? await response.json() : await response.text();
  if (!response.ok) throw new ApiError(response.status, json ? body : null);
  return body;
}

export async function call(method, path, body) {
  const options = { method, headers: {} };
  if (typeof body === "string") { options.body = body; options.headers["content-type"] = "text/csv"; }
  else if (body instanceof ArrayBuffer) { options.body = body; options.headers["content-type"] = "application/octet-stream"; }
  else if (body !== undefined) { options.body = JSON.stringify(body); options.headers["content-type"] = "application/json"; }
  return answer(await fetch(`${BASE}${path}`, options));
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const url = (path) => `${BASE}${path}`;

export async function binary(path) {
  const response = await fetch(url(path));
  if (!response.ok) throw new ApiError(response.status, null);
  return response.arrayBuffer();
}

/** Send a file as the body; `told` is given the share that is there. */
export function upload(path, file, told = () => {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${BASE}${path}?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.upload.onprogress = (event) => told(event.loaded / Math.max(1, event.total));
    request.onerror = () => reject(new ApiError(0, { code: "offline" }));
    request.onload = () => {
      let body = null;
      try { body = JSON.parse(request.responseText); } catch { /* no JSON */ }
      if (request.status < 300) resolve(body); else reject(new ApiError(request.status, body));
    };
    request.send(file);
  });
}

/** Events of the server, for as long as the page is open: `take(kind, event)`. Returns what ends it.
 *  `connected()` is called whenever they begin to come: what happened before has to be asked for. */
export function listen(take, connected = () => {}) {
  let source = null, ended = false;
  const open = () => {
    if (ended) return;
    source = new EventSource(url("/events"));
    for (const kind of ["job", "take", "song", "voice", "result"]) {
      source.addEventListener(kind, (event) => take(kind, JSON.parse(event.data)));
    }
    source.onopen = connected;
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) setTimeout(open, 2000); };
  };
  open();
  return () => { ended = true; source.close(); };
}
