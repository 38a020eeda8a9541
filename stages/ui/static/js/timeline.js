// The picture of a song: overview, waveform, and f0 over the spectrogram, where it is edited.

import { clock, h, hzOf, midiOf, noteName } from "./dom.js";
import { Painter } from "./timeline/painter.js";
import { GUTTER, OVERVIEW, RATE, Viewport } from "./timeline/viewport.js";

export { RATE };
const NEAR = 12, MOVED = 3; // pixels: how near a note is meant, and from where on a press is a drag
const SHIFTS = { up: 1, down: -1, up_fine: 0.1, down_fine: -0.1, octave_up: 12, octave_down: -12 }; // semitones
const STRAIGHT = 0.8; // the share of vibrato and drift that is taken out

export class Timeline {
  /** `on`: {seek(seconds), select(range), phrase(index), edited()}; `words(name, values)` gives texts. */
  constructor(song, curve, on, words) {
    Object.assign(this, { song, curve, on, words, tool: "select", selection: null, cursor: 0, key: 0, range: null, phrase: -1, lanes: new Map() });
    this.canvas = h("canvas.timeline", { tabindex: "0", role: "application", "aria-label": words("editor.canvas") });
    this.said = h("p.selection", { "aria-live": "polite" });
    this.element = h("div.timeline-box", {}, this.canvas, this.said);
    this.view = new Viewport(song.seconds, curve);
    this.painter = new Painter(this);
    this.#listen();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.element);
  }

  resize() {
    const { clientWidth: width } = this.element, scale = devicePixelRatio || 1;
    if (!width) return;
    this.view.resize(width, scale);
    const { height } = this.view;
    Object.assign(this.canvas, { width: width * scale, height: height * scale });
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    this.painter.theme();
    this.draw();
  }

  zoom(factor, around = this.cursor) {
    this.view.zoom(factor, around);
    this.draw();
  }

  /** Bring a moment into view. */
  show(seconds) {
    this.view.show(seconds);
    this.draw();
  }

  /** Move the cursor. `follow`: and bring it into view. */
  move(seconds, follow = false) {
    this.cursor = Math.max(0, Math.min(this.song.seconds, seconds));
    if (follow) this.show(this.cursor); else this.draw();
  }

  select(range) {
    this.selection = range && range[1] > range[0] ? [Math.max(0, range[0]), Math.min(this.curve.hz.length, range[1])] : null;
    this.tell();
    this.on.select(this.selection);
    this.draw();
  }

  /** What is selected, in words. */
  tell() {
    if (!this.selection) { this.said.textContent = this.words("editor.nothing"); return; }
    const [start, end] = this.selection, voiced = Array.from(this.curve.hz.slice(start, end)).filter((hz) => hz > 0).sort((a, b) => a - b);
    const middle = voiced.length ? voiced[Math.floor(voiced.length / 2)] : 0;
    this.said.textContent = this.words(middle ? "editor.selected" : "editor.selected_unvoiced", {
      from: clock(start / RATE, true), to: clock(end / RATE, true), note: middle ? noteName(midiOf(middle)) : "", hz: middle.toFixed(1),
    });
  }

  draw() {
    if (!this.view.width || this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.painter.paint(); });
  }

  // Pointer and keys.

  #listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#up(event));
    canvas.addEventListener("wheel", (event) => {
      const { view } = this, zooms = event.ctrlKey || event.metaKey;
      if (!zooms && !event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return; // the page scrolls
      event.preventDefault();
      if (zooms) view.zoom(Math.exp(-event.deltaY / 200), view.seconds(event.offsetX));
      else view.begin(view.start + (event.deltaX || event.deltaY) / view.pixels);
      this.draw();
    }, { passive: false });
  }

  #down(event) {
    const [x, y] = [event.offsetX, event.offsetY];
    this.canvas.setPointerCapture(event.pointerId);
    const frame = Math.floor(this.view.seconds(x) * RATE);
    this.held = { x, y, frame, moved: false, where: y < OVERVIEW ? "overview" : y < this.view.top ? "wave" : "roll" };
    if (this.held.where === "overview") this.#drag(event);
    else if (this.held.where === "roll" && this.tool === "draw") this.drawn = [[frame, hzOf(this.view.midi(y))]];
    else if (this.held.where === "roll" && this.tool === "select") {
      const inside = this.selection && frame >= this.selection[0] && frame < this.selection[1];
      const hz = this.curve.hz[frame];
      this.held.note = hz > 0 && Math.abs(this.view.y(midiOf(hz)) - y) < NEAR ? this.curve.noteAt(frame) : null;
      if (this.held.note && !inside) this.select(this.held.note);
    }
  }

  #drag(event) {
    const held = this.held;
    if (!held) return;
    const [x, y] = [event.offsetX, event.offsetY];
    held.moved ||= Math.hypot(x - held.x, y - held.y) > MOVED;
    if (held.where === "overview") {
      const at = ((x - GUTTER) / (this.view.width - GUTTER)) * this.song.seconds;
      this.view.begin(at - this.view.shown / 2);
    } else if (!held.moved) return;
    else if (this.drawn) this.drawn.push([Math.floor(this.view.seconds(x) * RATE), hzOf(this.view.midi(y))]);
    else if (held.note) {
      const by = this.view.midi(y) - this.view.midi(held.y);
      this.lifted = event.altKey ? by : Math.round(10 * by) / 10;
    } else {
      const frame = Math.floor(this.view.seconds(x) * RATE);
      this.selection = [Math.max(0, Math.min(frame, held.frame)), Math.max(frame, held.frame)];
    }
    this.draw();
  }

  #up(event) {
    const held = this.held;
    this.held = null;
    if (!held || held.where === "overview") return;
    if (this.drawn) { if (event.type === "pointerup") this.#edited(this.curve.draw(this.drawn)); this.drawn = null; }
    else if (held.note && held.moved) { const by = this.lifted ?? 0; this.lifted = 0; this.#edited(this.curve.shift(...this.selection, by)); }
    else if (held.moved) {
      if (this.tool === "erase" && held.where === "roll") { this.#edited(this.curve.mute(...this.selection)); this.select(null); } else this.select(this.selection);
    } else if (!held.note) {
      const at = this.view.seconds(held.x);
      this.select(null);
      this.on.seek(at);
      const phrase = this.song.phrases.find((p) => at >= p.start && at < p.end);
      if (phrase) this.on.phrase(phrase.index);
    }
    this.draw();
  }

  #edited(did) {
    if (did) this.on.edited();
    this.tell();
    this.draw();
  }

  /** Do an edit by its name on what is selected; false where it does nothing. */
  act(name) {
    const s = this.selection;
    if (name === "undo" || name === "redo") { this.#edited(this.curve[name]()); return; }
    if (!s) return;
    const { curve } = this;
    if (name in SHIFTS) { this.#edited(curve.shift(...s, SHIFTS[name])); return; }
    const edits = {
      octaves: () => curve.fixOctaves(...s), straighten: () => curve.straighten(...s, STRAIGHT), restore: () => curve.restore(...s),
      copy: () => (curve.copyVibrato(...s), false), paste: () => curve.pasteVibrato(...s), mute: () => curve.mute(...s),
    };
    this.#edited(edits[name]());
  }

  close() { this.observer.disconnect(); cancelAnimationFrame(this.waiting); }
}
