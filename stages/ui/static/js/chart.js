// Lines over training steps, and bars over notes, as SVG.

import { h, noteName } from "./dom.js";

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A chart of lines [{name, points: [[x, y]], kind}], with a table's worth of text for who cannot see it. */
export function lines(series, label, format = (y) => y.toPrecision(3)) {
  const known = series.filter((one) => one.points.length), points = known.flatMap((one) => one.points);
  if (!points.length) return h("div.chart.empty", {});
  const [W, H, L, B] = [560, 200, 46, 24];
  const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
  const x0 = Math.min(...xs), x1 = Math.max(x0 + 1, ...xs);
  let y0 = Math.min(...ys), y1 = Math.max(...ys);
  const pad = (y1 - y0 || Math.abs(y1) || 1) * 0.08;
  [y0, y1] = [y0 - pad, y1 + pad];
  const x = (v) => L + ((v - x0) / (x1 - x0)) * (W - L - 8), y = (v) => 8 + ((y1 - v) / (y1 - y0)) * (H - B - 8);
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${label}: ${known.map((one) => `${one.name} ${format(one.points.at(-1)[1])}`).join(", ")}` });
  for (let i = 0; i <= 3; i++) {
    const value = y0 + (i / 3) * (y1 - y0);
    picture.append(svg("line", { x1: L, x2: W - 8, y1: y(value), y2: y(value), class: "rule" }));
    const text = svg("text", { x: L - 6, y: y(value) + 4, "text-anchor": "end" });
    text.textContent = format(value);
    picture.append(text);
  }
  for (const at of [x0, (x0 + x1) / 2, x1]) {
    const text = svg("text", { x: x(at), y: H - 6, "text-anchor": at === x0 ? "start" : at === x1 ? "end" : "middle" });
    text.textContent = Math.round(at);
    picture.append(text);
  }
  for (const one of known) {
    picture.append(svg("polyline", { points: one.points.map((p) => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" "), class: `line ${one.kind}` }));
    const last = one.points.at(-1);
    picture.append(svg("circle", { cx: x(last[0]), cy: y(last[1]), r: 3.5, class: `dot ${one.kind}` }));
  }
  return h("figure.chart", {}, h("figcaption", {}, h("strong", {}, label), known.map((one) => h(`span.key.${one.kind}`, {}, one.name))), picture);
}

/** Seconds of each note {midi: seconds} as bars. */
export function notes(seconds, label) {
  const known = Object.entries(seconds).map(([midi, value]) => [Number(midi), value]);
  if (!known.length) return null;
  const low = Math.min(...known.map(([m]) => m)), high = Math.max(...known.map(([m]) => m)), most = Math.max(...known.map(([, v]) => v));
  const [W, H] = [560, 120], step = W / (high - low + 1);
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${label}: ${noteName(low)} – ${noteName(high)}` });
  for (const [midi, value] of known) {
    const tall = Math.max(1.5, (value / most) * (H - 26));
    const bar = svg("rect", { x: (midi - low) * step + 0.5, y: H - 20 - tall, width: Math.max(1, step - 1.5), height: tall, rx: 2, class: "bar" });
    const title = svg("title", {});
    title.textContent = `${noteName(midi)}: ${value} s`;
    bar.append(title);
    picture.append(bar);
  }
  for (let midi = Math.ceil(low / 12) * 12; midi <= high; midi += 12) {
    const text = svg("text", { x: (midi - low + 0.5) * step, y: H - 5, "text-anchor": "middle" });
    text.textContent = noteName(midi);
    picture.append(text);
  }
  return h("figure.chart", {}, h("figcaption", {}, h("strong", {}, label)), picture);
}
