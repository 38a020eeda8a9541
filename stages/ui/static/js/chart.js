// Lines over training steps, and bars over notes, as SVG.

import { h } from "./dom.js";

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A chart of lines [{name, points: [[x, y]], kind}], with a table's worth of text for who cannot see it. */
export function lines(series, label, format = (y) => y.toPrecision(3), most = Infinity) {
  const known = series.filter((one) => one.points.length), points = known.flatMap((one) => one.points);
  if (!points.length) return h("div.chart.empty", {});
  const [W, H, L, B] = [innerWidth < 640 ? 340 : 560, 200, 46, 24]; // letters stay readable where it is narrow
  const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
  const x0 = Math.min(...xs), x1 = Math.max(x0 + 1, ...xs);
  let y0 = Math.min(...ys), y1 = Math.max(...ys);
  const pad = (y1 - y0 || Math.abs(y1) || 1) * 0.08;
  [y0, y1] = [y0 - pad, Math.min(most, y1 + pad)];
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

/** Seconds of each note {name: seconds}, lowest first, as bars. */
export function notes(seconds, label) {
  const known = Object.entries(seconds);
  if (!known.length) return null;
  const most = Math.max(...known.map(([, v]) => v), 1);
  const [W, H] = [innerWidth < 640 ? 340 : 560, 120], step = W / known.length;
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${label}: ${known[0][0]} – ${known.at(-1)[0]}` });
  known.forEach(([name, value], i) => {
    const tall = Math.max(1.5, (value / most) * (H - 26));
    const bar = svg("rect", { x: i * step + 0.5, y: H - 20 - tall, width: Math.max(1, step - 1.5), height: tall, rx: 2, class: value < 1 ? "bar rare" : "bar" });
    const title = svg("title", {});
    title.textContent = `${name}: ${value} s`;
    bar.append(title);
    picture.append(bar);
    if (i % Math.ceil(known.length / (W / 47)) === 0) {
      const text = svg("text", { x: (i + 0.5) * step, y: H - 5, "text-anchor": "middle" });
      text.textContent = name;
      picture.append(text);
    }
  });
  return h("figure.chart", {}, h("figcaption", {}, h("strong", {}, label)), picture);
}
