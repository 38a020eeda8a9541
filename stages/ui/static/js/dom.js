// Elements made one by one: text from anywhere stays text.

/** An element: h("button.primary", {onclick, disabled}, "text", child, ...). False and null children are left out. */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value);
    else if (key === "dataset") Object.assign(element.dataset, value);
    else if (key in element && !["list", "form", "role"].includes(key) && !key.startsWith("aria")) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

export function replace(element, ...children) {
  element.replaceChildren();
  return append(element, children);
}

/** Replace what is in an element by what `content()` makes, and give the focus back by its id or data-name. */
export function redraw(element, content) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const name = focused?.id ? `#${CSS.escape(focused.id)}` : focused?.dataset.name && `[data-name="${focused.dataset.name}"]`;
  replace(element, content());
  if (name) element.querySelector(name)?.focus();
}

const PATHS = {
  play: "M8 5v14l11-7z",
  pause: "M7 5h4v14H7zM13 5h4v14h-4z",
  stop: "M6 6h12v12H6z",
  plus: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  check: "M9.5 17.5 4 12l1.5-1.5 4 4 9-9L20 7z",
  close: "M6.4 5 12 10.6 17.6 5 19 6.4 13.4 12 19 17.6 17.6 19 12 13.4 6.4 19 5 17.6 10.6 12 5 6.4z",
  undo: "M8 5v4h6a5 5 0 0 1 0 10H8v-2h6a3 3 0 0 0 0-6H8v4L3 10z",
  redo: "M16 5v4h-6a5 5 0 0 0 0 10h6v-2h-6a3 3 0 0 1 0-6h6v4l5-5z",
  select: "M4 4h7v2H6v5H4zM13 4h7v7h-2V6h-5zM4 13h2v5h5v2H4zM18 13h2v7h-7v-2h5z",
  draw: "M16.5 3.5 20.5 7.5 9 19l-5 1 1-5z",
  erase: "M15 4l5 5-9 9H6l-3-3zM13 20h8v-2h-8z",
  zoomin: "M10 4a6 6 0 1 0 3.7 10.7l4.8 4.8 1.4-1.4-4.8-4.8A6 6 0 0 0 10 4m-1 3h2v2h2v2h-2v2H9v-2H7V9h2z",
  zoomout: "M10 4a6 6 0 1 0 3.7 10.7l4.8 4.8 1.4-1.4-4.8-4.8A6 6 0 0 0 10 4M7 9h6v2H7z",
  again: "M12 5a7 7 0 1 1-6.7 5h2.1A5 5 0 1 0 12 7v3L7 6l5-4z",
  trash: "M9 3h6l1 2h4v2H4V5h4zM6 9h12l-1 12H7z",
  save: "M11 3h2v9l3-3 1.4 1.4L12 16l-5.4-5.6L8 9l3 3zM5 19h14v2H5z",
  upload: "M11 16h2V7l3 3 1.4-1.4L12 3 6.6 8.6 8 10l3-3zM5 19h14v2H5z",
  moon: "M20 14A8 8 0 0 1 10 4a8 8 0 1 0 10 10",
  sun: "M12 7a5 5 0 1 1 0 10 5 5 0 0 1 0-10m-1-5h2v3h-2zM11 19h2v3h-2zM2 11h3v2H2zM19 11h3v2h-3z",
};

/** A small picture; what it means is said beside it. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

let toastTimer = 0;

/** A message at the foot of the page, read out too. */
export function toast(text, kind = "") {
  const box = document.getElementById("toasts");
  box.replaceChildren(h(`div.toast${kind ? "." + kind : ""}`, {}, text));
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => box.replaceChildren(), kind === "bad" ? 12000 : 5000);
}

/** A field with its label. */
export function field(label, input, hint) {
  const id = input.id || (input.id = "f" + Math.random().toString(36).slice(2));
  const note = hint && h("small", { id: id + "h" }, hint);
  if (note) input.setAttribute("aria-describedby", id + "h");
  return h("div.field", {}, h("label", { htmlFor: id }, label), input, note);
}

/** A slider with its value beside it, as `show` writes it; `chosen` gets the value at the end of a move. */
export function slider(label, { id, min, max, step, value, show, chosen, hint }) {
  const out = h("output", {}, show(value));
  const input = h("input", {
    type: "range", id, min, max, step, value, oninput: () => { out.textContent = show(Number(input.value)); }, onchange: () => chosen(Number(input.value)),
  });
  return h("div.slider", {}, field(label, input, hint), out);
}

/** A field that chooses files, for a label around it. */
export function fileInput(label, accept, take, multiple = false) {
  const input = h("input.hidden-input", {
    type: "file", multiple, accept, "aria-label": label,
    onchange: () => { const files = [...input.files]; input.value = ""; if (files.length) take(files); },
  });
  return input;
}

export const AUDIO_FILES = "audio/*,.flac,.wav,.mp3,.ogg,.opus,.aiff,.m4a";

/** A place to drop files, which is also a button that opens the file dialog. */
export function dropzone(label, hint, multiple, take) {
  const input = fileInput(label, AUDIO_FILES, take, multiple);
  const zone = h("label.drop", {}, input, h("span.drop-mark", {}, icon("upload")), h("strong", {}, label), h("small", {}, hint));
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const files = [...event.dataTransfer.files];
    if (files.length) take(multiple ? files : files.slice(0, 1));
  });
  return zone;
}

export function clock(seconds, tenths = false) {
  const whole = Math.max(0, seconds), minutes = Math.floor(whole / 60), rest = whole - 60 * minutes;
  return `${minutes}:${(tenths ? rest.toFixed(1) : String(Math.floor(rest))).padStart(tenths ? 4 : 2, "0")}`;
}

const NAMES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];

export const midiOf = (hz) => 69 + 12 * Math.log2(hz / 440);
export const hzOf = (midi) => 440 * 2 ** ((midi - 69) / 12);
export const noteName = (midi) => NAMES[((Math.round(midi) % 12) + 12) % 12] + (Math.floor(Math.round(midi) / 12) - 1);
