// The picture of a song: overview, waveform, and f0 over the spectrogram, where it is edited.

import { binary, url } from "./api.js";
import { clock, h, hzOf, midiOf, noteName } from "./dom.js";

export const RATE = 44100 / 512; // mel frames a second
const TOP_NOTE = 108, ROWS = 3, TILE = 1024, PEAK = 256 / 44100;
const OVERVIEW = 40, WAVE = 52, GUTTER = 46, RULER = 20;

/** Colours of the theme that is on, from the style sheet. */
function palette() {
  const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(["surface", "sunken", "line", "ink", "faint", "accent", "f0", "f0-wide", "band", "select", "wave", "spec-0", "spec-1", "spec-2", "spec-3"].map((name) => [name, of(name)]));
}

function hex(colour) {
  const value = parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** 256 colours between four stops. */
function ramp(stops) {
  const colours = stops.map(hex);
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) ** 1.15 * (colours.length - 1), k = Math.min(colours.length - 2, Math.floor(at)), share = at - k;
    return colours[k].map((value, c) => Math.round(value + share * (colours[k + 1][c] - value)));
  });
}

export class Timeline {
  /** `on`: {seek(seconds), select(range), phrase(index), edited()}; `words(name, values)` gives texts. */
  constructor(song, curve, on, words) {
    Object.assign(this, { song, curve, on, words, tool: "select", selection: null, cursor: 0, key: 0, range: null, phrase: -1, lanes: new Map() });
    this.canvas = h("canvas.timeline", { tabindex: "0", role: "application", "aria-label": words("editor.canvas") });
    this.said = h("p.selection", { "aria-live": "polite" });
    this.element = h("div.timeline-box", {}, this.canvas, this.said);
    this.pixels = 0; // a second
    this.start = 0; // seconds at the left edge
    this.tiles = new Map();
    this.peaks = null;
    this.bounds();
    this.#listen();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.element);
    binary(`/songs/${song.id}/peaks`).then((data) => { this.peaks = new Int8Array(data); this.draw(); }).catch(() => {});
  }

  /** The notes that are shown: those of the song, and of the voice. */
  bounds() {
    const voiced = Array.from(this.curve.hz).filter((hz) => hz > 0).map(midiOf);
    let low = 48, high = 72;
    if (voiced.length) {
      voiced.sort((a, b) => a - b);
      [low, high] = [voiced[Math.floor(voiced.length * 0.005)], voiced[Math.floor(voiced.length * 0.995)]];
    }
    this.low = Math.max(36, Math.floor(low) - 5);
    this.high = Math.min(TOP_NOTE, Math.max(this.low + 18, Math.ceil(high) + 6));
  }

  resize() {
    const width = this.element.clientWidth, height = this.element.clientWidth < 600 ? 330 : 420;
    if (!width) return;
    const scale = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * scale, height: height * scale });
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    [this.width, this.height, this.scale] = [width, height, scale];
    const whole = (width - GUTTER) / this.song.seconds;
    if (!this.pixels) this.pixels = Math.max(whole, Math.min(90, (width - GUTTER) / Math.min(12, this.song.seconds)));
    this.pixels = Math.max(whole, this.pixels);
    this.theme();
  }

  theme() {
    this.colours = palette();
    this.lut = ramp([0, 1, 2, 3].map((i) => this.colours[`spec-${i}`]));
    this.tiles.clear();
    this.draw();
  }

  x(seconds) { return GUTTER + (seconds - this.start) * this.pixels; }
  seconds(x) { return this.start + (x - GUTTER) / this.pixels; }
  y(midi) { return this.top + ((this.high - midi) / (this.high - this.low)) * (this.bottom - this.top); }
  midi(y) { return this.high - ((y - this.top) / (this.bottom - this.top)) * (this.high - this.low); }
  get top() { return OVERVIEW + RULER + WAVE; }
  get bottom() { return this.height; }
  get shown() { return (this.width - GUTTER) / this.pixels; }

  zoom(factor, around = this.cursor) {
    const at = this.x(around);
    this.pixels = Math.min(600, Math.max((this.width - GUTTER) / this.song.seconds, this.pixels * factor));
    this.start = around - (Math.min(this.width, Math.max(GUTTER, at)) - GUTTER) / this.pixels;
    this.scroll(0);
  }

  scroll(seconds) {
    this.start = Math.max(0, Math.min(this.song.seconds - this.shown, this.start + seconds));
    this.draw();
  }

  /** Bring a moment into view. */
  show(seconds) {
    if (seconds < this.start || seconds > this.start + this.shown * 0.95) this.start = Math.max(0, Math.min(this.song.seconds - this.shown, seconds - this.shown * 0.1));
    this.draw();
  }

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
    if (!this.width || this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.#paint(); });
  }

  #paint() {
    const c = this.canvas.getContext("2d"), colours = this.colours;
    if (!colours) return;
    c.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    c.clearRect(0, 0, this.width, this.height);
    c.fillStyle = colours.surface;
    c.fillRect(0, 0, this.width, this.height);
    c.font = "11px system-ui, sans-serif";
    this.#overview(c);
    c.save();
    c.beginPath();
    c.rect(GUTTER, OVERVIEW, this.width - GUTTER, this.height - OVERVIEW);
    c.clip();
    this.#ruler(c);
    this.#phrases(c);
    this.#wave(c, GUTTER, OVERVIEW + RULER, this.width - GUTTER, WAVE, this.start, this.pixels, colours.wave);
    this.#spectrogram(c);
    this.#grid(c);
    if (this.selection) this.#mark(c, this.selection[0] / RATE, this.selection[1] / RATE, colours.select);
    this.#f0(c);
    this.#playhead(c);
    c.restore();
    this.#notes(c);
  }

  #overview(c) {
    const scale = (this.width - GUTTER) / this.song.seconds;
    this.#wave(c, GUTTER, 4, this.width - GUTTER, OVERVIEW - 10, 0, scale, this.colours.faint);
    for (const phrase of this.song.phrases) {
      c.fillStyle = this.lanes.get(phrase.index) ?? this.colours.line;
      c.fillRect(GUTTER + phrase.start * scale + 0.5, OVERVIEW - 6, Math.max(1, (phrase.end - phrase.start) * scale - 1), 3);
    }
    c.fillStyle = this.colours.select;
    c.fillRect(GUTTER + this.start * scale, 2, Math.max(6, this.shown * scale), OVERVIEW - 8);
    c.fillStyle = this.colours.ink;
    c.fillRect(GUTTER + this.cursor * scale, 2, 1, OVERVIEW - 8);
  }

  #wave(c, left, top, width, height, from, pixels, colour) {
    if (!this.peaks) return;
    c.fillStyle = colour;
    const middle = top + height / 2, count = this.peaks.length / 2;
    for (let x = 0; x < width; x++) {
      const first = Math.floor((from + x / pixels) / PEAK), last = Math.min(count, Math.max(first + 1, Math.ceil((from + (x + 1) / pixels) / PEAK)));
      let low = 0, high = 0;
      for (let i = first; i < last; i++) { low = Math.min(low, this.peaks[2 * i]); high = Math.max(high, this.peaks[2 * i + 1]); }
      if (first >= count) break;
      const up = (high / 127) * height * 0.5, down = (low / 127) * height * 0.5;
      c.fillRect(left + x, middle - up, 1, Math.max(1, up - down));
    }
  }

  #ruler(c) {
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300], step = steps.find((s) => s * this.pixels > 64) ?? 600;
    c.fillStyle = this.colours.faint;
    c.textBaseline = "middle";
    c.textAlign = "left";
    for (let at = Math.floor(this.start / step) * step; at < this.start + this.shown; at += step) {
      if (at < 0) continue;
      c.fillRect(this.x(at), OVERVIEW, 1, 6);
      c.fillText(clock(at + 1e-6, step < 1), this.x(at) + 4, OVERVIEW + RULER / 2);
    }
  }

  #phrases(c) {
    for (const phrase of this.song.phrases) {
      const [x0, x1] = [this.x(phrase.start), this.x(phrase.end)];
      if (x1 < GUTTER || x0 > this.width) continue;
      c.fillStyle = phrase.index === this.phrase ? this.colours.select : this.colours.sunken;
      c.beginPath();
      c.roundRect(x0 + 1, OVERVIEW + RULER, Math.max(2, x1 - x0 - 2), WAVE - 2, 6);
      c.fill();
      c.fillStyle = this.lanes.get(phrase.index) ?? this.colours.line;
      c.fillRect(x0 + 5, OVERVIEW + RULER + WAVE - 6, Math.max(1, x1 - x0 - 10), 2);
      if (x1 - x0 > 22) {
        c.fillStyle = this.colours.ink;
        c.textAlign = "left";
        c.fillText(String(phrase.index + 1), x0 + 7, OVERVIEW + RULER + 10);
      }
    }
  }

  #tile(number) {
    if (!this.tiles.has(number)) {
      this.tiles.set(number, null);
      const image = new Image();
      image.onload = () => {
        const box = new OffscreenCanvas(image.width, image.height), c = box.getContext("2d", { willReadFrequently: true });
        c.drawImage(image, 0, 0);
        const data = c.getImageData(0, 0, image.width, image.height), d = data.data;
        for (let i = 0; i < d.length; i += 4) [d[i], d[i + 1], d[i + 2]] = this.lut[d[i]];
        c.putImageData(data, 0, 0);
        this.tiles.set(number, box);
        this.draw();
      };
      image.src = url(`/songs/${this.song.id}/spectrogram/${number}`);
    }
    return this.tiles.get(number);
  }

  #spectrogram(c) {
    const seconds = TILE / RATE, first = Math.floor(this.start / seconds), last = Math.floor((this.start + this.shown) / seconds);
    c.fillStyle = this.colours["spec-0"];
    c.fillRect(GUTTER, this.top, this.width, this.bottom - this.top);
    for (let n = Math.max(0, first); n <= Math.min(this.song.tiles - 1, last); n++) {
      const tile = this.#tile(n);
      if (tile) c.drawImage(tile, 0, (TOP_NOTE - this.high) * ROWS, tile.width, (this.high - this.low) * ROWS, this.x(n * seconds), this.top, (tile.width / RATE) * this.pixels, this.bottom - this.top);
    }
  }

  #grid(c) {
    if (this.range) { // what the voice reaches, seen from the song: the key moved the other way
      const [low, high] = this.range.map((hz) => midiOf(hz) - this.key);
      c.strokeStyle = this.colours.band;
      c.setLineDash([6, 5]);
      c.lineWidth = 1.5;
      for (const note of [low, high]) { c.beginPath(); c.moveTo(GUTTER, this.y(note)); c.lineTo(this.width, this.y(note)); c.stroke(); }
      c.setLineDash([]);
    }
    c.globalAlpha = 0.25;
    c.fillStyle = this.colours.faint;
    for (let note = this.low; note <= this.high; note++) if (note % 12 === 0) c.fillRect(GUTTER, this.y(note), this.width, 1);
    c.globalAlpha = 1;
  }

  #mark(c, from, to, colour) {
    c.fillStyle = colour;
    c.globalAlpha = 0.75;
    c.fillRect(this.x(from), this.top, Math.max(1, (to - from) * this.pixels), this.bottom - this.top);
    c.globalAlpha = 1;
  }

  #f0(c) {
    const first = Math.max(0, Math.floor(this.start * RATE) - 1), last = Math.min(this.curve.hz.length, Math.ceil((this.start + this.shown) * RATE) + 1);
    const path = (hz, from, to, lift = 0) => {
      c.beginPath();
      for (let i = from; i < to; i++) {
        if (!(hz[i] > 0)) continue;
        const x = this.x((i + 0.5) / RATE), y = this.y(midiOf(hz[i]) + lift);
        if (i > from && hz[i - 1] > 0) c.lineTo(x, y); else { c.moveTo(x, y); c.lineTo(x + 0.5, y); }
      }
      c.stroke();
    };
    Object.assign(c, { lineJoin: "round", lineCap: "round" });
    if (this.curve.past.length || this.song.f0_edited) { c.strokeStyle = this.colours.faint; c.lineWidth = 1.5; path(this.curve.original, first, last); }
    c.strokeStyle = this.colours["f0-wide"];
    c.lineWidth = 6;
    path(this.curve.hz, first, last);
    c.strokeStyle = this.colours.f0;
    c.lineWidth = 2.5;
    path(this.curve.hz, first, last);
    if (this.lifted) { c.setLineDash([4, 5]); path(this.curve.hz, this.selection[0], this.selection[1], this.lifted); c.setLineDash([]); }
    if (this.drawn?.length) {
      c.beginPath();
      this.drawn.forEach(([frame, hz], i) => { const at = [this.x((frame + 0.5) / RATE), this.y(midiOf(hz))]; if (i) c.lineTo(...at); else c.moveTo(...at); });
      c.stroke();
    }
  }

  #playhead(c) {
    const x = this.x(this.cursor);
    c.fillStyle = this.colours.ink;
    c.fillRect(x, OVERVIEW, 1.5, this.height);
    c.beginPath();
    c.moveTo(x - 5, OVERVIEW);
    c.lineTo(x + 6, OVERVIEW);
    c.lineTo(x + 0.75, OVERVIEW + 8);
    c.fill();
  }

  #notes(c) {
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (let note = this.low; note < this.high; note++) {
      const black = [1, 3, 6, 8, 10].includes(note % 12), y = this.y(note);
      c.fillStyle = this.colours[black ? "line" : "sunken"];
      c.fillRect(28, y - this.noteHeight / 2, GUTTER - 30, Math.max(1, this.noteHeight - 1));
      if (note % 12 === 0) { c.fillStyle = this.colours.ink; c.fillText(noteName(note), 25, y); }
    }
    if (this.range) {
      const [low, high] = this.range.map((hz) => Math.max(this.top, Math.min(this.bottom, this.y(midiOf(hz) - this.key))));
      c.fillStyle = this.colours.band;
      c.fillRect(GUTTER - 4, high, 3, Math.max(2, low - high));
    }
  }

  get noteHeight() { return (this.bottom - this.top) / (this.high - this.low); }

  // Pointer and keys.

  #listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#up(event));
    canvas.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey) { event.preventDefault(); this.zoom(Math.exp(-event.deltaY / 200), this.seconds(event.offsetX)); }
      else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) { event.preventDefault(); this.scroll((event.deltaX || event.deltaY) / this.pixels); }
    }, { passive: false });
  }

  #down(event) {
    const [x, y] = [event.offsetX, event.offsetY];
    this.canvas.setPointerCapture(event.pointerId);
    const frame = Math.floor(this.seconds(x) * RATE);
    this.held = { x, y, frame, moved: false, where: y < OVERVIEW ? "overview" : y < this.top ? "wave" : "roll" };
    if (this.held.where === "overview") this.#drag(event);
    else if (this.held.where === "roll" && this.tool === "draw") this.drawn = [[frame, hzOf(this.midi(y))]];
    else if (this.held.where === "roll" && this.tool === "select") {
      const inside = this.selection && frame >= this.selection[0] && frame < this.selection[1];
      const hz = this.curve.hz[frame];
      this.held.note = hz > 0 && Math.abs(this.y(midiOf(hz)) - y) < 12 ? this.curve.noteAt(frame) : null;
      if (this.held.note && !inside) this.select(this.held.note);
    }
  }

  #drag(event) {
    const held = this.held;
    if (!held) return;
    const [x, y] = [event.offsetX, event.offsetY];
    held.moved ||= Math.hypot(x - held.x, y - held.y) > 3;
    if (held.where === "overview") {
      const at = ((x - GUTTER) / (this.width - GUTTER)) * this.song.seconds;
      this.start = Math.max(0, Math.min(this.song.seconds - this.shown, at - this.shown / 2));
    } else if (!held.moved) return;
    else if (this.drawn) this.drawn.push([Math.floor(this.seconds(x) * RATE), hzOf(this.midi(y))]);
    else if (held.note) this.lifted = event.altKey ? this.midi(y) - this.midi(held.y) : Math.round(10 * (this.midi(y) - this.midi(held.y))) / 10;
    else { const frame = Math.floor(this.seconds(x) * RATE); this.selection = frame < held.frame ? [Math.max(0, frame), held.frame] : [Math.max(0, held.frame), frame]; }
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
      const at = this.seconds(held.x);
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
    const edits = {
      up: () => this.curve.shift(...s, 1), down: () => this.curve.shift(...s, -1), up_fine: () => this.curve.shift(...s, 0.1), down_fine: () => this.curve.shift(...s, -0.1),
      octave_up: () => this.curve.shift(...s, 12), octave_down: () => this.curve.shift(...s, -12), octaves: () => this.curve.fixOctaves(...s), straighten: () => this.curve.straighten(...s, 0.8),
      copy: () => (this.curve.copyVibrato(...s), false), paste: () => this.curve.pasteVibrato(...s), mute: () => this.curve.mute(...s), restore: () => this.curve.restore(...s),
    };
    this.#edited(edits[name]());
  }

  close() { this.observer.disconnect(); cancelAnimationFrame(this.waiting); }
}
