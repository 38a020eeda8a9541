// How a timeline is painted: overview, ruler, waveform, spectrogram, f0 and the keyboard at its left.

import { binary } from "../api.js";
import { clock, midiOf, noteName } from "../dom.js";
import { SpectrogramTiles, ROWS, TILE, TOP_NOTE } from "./spectrogram.js";
import { GUTTER, OVERVIEW, RATE, RULER, WAVE } from "./viewport.js";

const PEAK = 256 / 44100; // seconds of each [lowest, highest] pair of the waveform
const COLOURS = ["surface", "sunken", "line", "ink", "faint", "f0", "f0-wide", "band", "select", "wave", "spec-0", "spec-1", "spec-2", "spec-3"];
const BLACK_KEYS = [1, 3, 6, 8, 10];

/** Colours of the theme that is on, from the style sheet. */
function palette() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

export class Painter {
  constructor(timeline) {
    this.timeline = timeline;
    this.view = timeline.view;
    this.tiles = new SpectrogramTiles(timeline.song, () => timeline.draw());
    this.peaks = null;
    binary(`/songs/${timeline.song.id}/peaks`).then((data) => { this.peaks = new Int8Array(data); timeline.draw(); }).catch(() => {});
  }

  /** Take the colours of the theme that is on. */
  theme() {
    this.colours = palette();
    this.tiles.colour([0, 1, 2, 3].map((i) => this.colours[`spec-${i}`]));
  }

  /** Paint all of it on the timeline's canvas. */
  paint() {
    const c = this.timeline.canvas.getContext("2d"), { colours } = this;
    c.setTransform(this.view.scale, 0, 0, this.view.scale, 0, 0);
    c.clearRect(0, 0, this.view.width, this.view.height);
    c.fillStyle = colours.surface;
    c.fillRect(0, 0, this.view.width, this.view.height);
    c.font = "11px system-ui, sans-serif";
    this.#overview(c);
    c.save();
    c.beginPath();
    c.rect(GUTTER, OVERVIEW, this.view.width - GUTTER, this.view.height - OVERVIEW);
    c.clip();
    this.#ruler(c);
    this.#phrases(c);
    this.#wave(c, GUTTER, OVERVIEW + RULER, this.view.width - GUTTER, WAVE, this.view.start, this.view.pixels, colours.wave);
    this.#spectrogram(c);
    this.#grid(c);
    if (this.timeline.selection) this.#mark(c, this.timeline.selection[0] / RATE, this.timeline.selection[1] / RATE, colours.select);
    this.#f0(c);
    this.#playhead(c);
    c.restore();
    this.#notes(c);
  }

  #overview(c) {
    const scale = (this.view.width - GUTTER) / this.timeline.song.seconds;
    this.#wave(c, GUTTER, 4, this.view.width - GUTTER, OVERVIEW - 10, 0, scale, this.colours.faint);
    for (const phrase of this.timeline.song.phrases) {
      c.fillStyle = this.timeline.lanes.get(phrase.index) ?? this.colours.line;
      c.fillRect(GUTTER + phrase.start * scale + 0.5, OVERVIEW - 6, Math.max(1, (phrase.end - phrase.start) * scale - 1), 3);
    }
    c.fillStyle = this.colours.select;
    c.fillRect(GUTTER + this.view.start * scale, 2, Math.max(6, this.view.shown * scale), OVERVIEW - 8);
    c.fillStyle = this.colours.ink;
    c.fillRect(GUTTER + this.timeline.cursor * scale, 2, 1, OVERVIEW - 8);
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
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300], step = steps.find((s) => s * this.view.pixels > 64) ?? 600;
    c.fillStyle = this.colours.faint;
    c.textBaseline = "middle";
    c.textAlign = "left";
    for (let at = Math.floor(this.view.start / step) * step; at < this.view.start + this.view.shown; at += step) {
      if (at < 0) continue;
      c.fillRect(this.view.x(at), OVERVIEW, 1, 6);
      c.fillText(clock(at + 1e-6, step < 1), this.view.x(at) + 4, OVERVIEW + RULER / 2);
    }
  }

  #phrases(c) {
    for (const phrase of this.timeline.song.phrases) {
      const [x0, x1] = [this.view.x(phrase.start), this.view.x(phrase.end)];
      if (x1 < GUTTER || x0 > this.view.width) continue;
      c.fillStyle = phrase.index === this.timeline.phrase ? this.colours.select : this.colours.sunken;
      c.beginPath();
      c.roundRect(x0 + 1, OVERVIEW + RULER, Math.max(2, x1 - x0 - 2), WAVE - 2, 6);
      c.fill();
      c.fillStyle = this.timeline.lanes.get(phrase.index) ?? this.colours.line;
      c.fillRect(x0 + 5, OVERVIEW + RULER + WAVE - 6, Math.max(1, x1 - x0 - 10), 2);
      if (x1 - x0 > 22) {
        c.fillStyle = this.colours.ink;
        c.textAlign = "left";
        c.fillText(String(phrase.index + 1), x0 + 7, OVERVIEW + RULER + 10);
      }
    }
  }

  #spectrogram(c) {
    const seconds = TILE / RATE, first = Math.floor(this.view.start / seconds), last = Math.floor((this.view.start + this.view.shown) / seconds);
    c.fillStyle = this.colours["spec-0"];
    c.fillRect(GUTTER, this.view.top, this.view.width, this.view.bottom - this.view.top);
    for (let n = Math.max(0, first); n <= Math.min(this.timeline.song.tiles - 1, last); n++) {
      const tile = this.tiles.get(n);
      if (tile) c.drawImage(tile, 0, (TOP_NOTE - this.view.high) * ROWS, tile.width, (this.view.high - this.view.low) * ROWS, this.view.x(n * seconds), this.view.top, (tile.width / RATE) * this.view.pixels, this.view.bottom - this.view.top);
    }
  }

  #grid(c) {
    if (this.timeline.range) { // what the voice reaches, seen from the song: the key moved the other way
      const [low, high] = this.timeline.range.map((hz) => midiOf(hz) - this.timeline.key);
      c.strokeStyle = this.colours.band;
      c.setLineDash([6, 5]);
      c.lineWidth = 1.5;
      for (const note of [low, high]) { c.beginPath(); c.moveTo(GUTTER, this.view.y(note)); c.lineTo(this.view.width, this.view.y(note)); c.stroke(); }
      c.setLineDash([]);
    }
    c.globalAlpha = 0.25;
    c.fillStyle = this.colours.faint;
    for (let note = this.view.low; note <= this.view.high; note++) if (note % 12 === 0) c.fillRect(GUTTER, this.view.y(note), this.view.width, 1);
    c.globalAlpha = 1;
  }

  #mark(c, from, to, colour) {
    c.fillStyle = colour;
    c.globalAlpha = 0.75;
    c.fillRect(this.view.x(from), this.view.top, Math.max(1, (to - from) * this.view.pixels), this.view.bottom - this.view.top);
    c.globalAlpha = 1;
  }

  #f0(c) {
    const first = Math.max(0, Math.floor(this.view.start * RATE) - 1), last = Math.min(this.timeline.curve.hz.length, Math.ceil((this.view.start + this.view.shown) * RATE) + 1);
    const path = (hz, from, to, lift = 0) => {
      c.beginPath();
      for (let i = from; i < to; i++) {
        if (!(hz[i] > 0)) continue;
        const x = this.view.x((i + 0.5) / RATE), y = this.view.y(midiOf(hz[i]) + lift);
        if (i > from && hz[i - 1] > 0) c.lineTo(x, y); else { c.moveTo(x, y); c.lineTo(x + 0.5, y); }
      }
      c.stroke();
    };
    Object.assign(c, { lineJoin: "round", lineCap: "round" });
    if (this.timeline.curve.past.length || this.timeline.song.f0_edited) { c.strokeStyle = this.colours.faint; c.lineWidth = 1.5; path(this.timeline.curve.original, first, last); }
    c.strokeStyle = this.colours["f0-wide"];
    c.lineWidth = 6;
    path(this.timeline.curve.hz, first, last);
    c.strokeStyle = this.colours.f0;
    c.lineWidth = 2.5;
    path(this.timeline.curve.hz, first, last);
    if (this.timeline.lifted) { c.setLineDash([4, 5]); path(this.timeline.curve.hz, this.timeline.selection[0], this.timeline.selection[1], this.timeline.lifted); c.setLineDash([]); }
    if (this.timeline.drawn?.length) {
      c.beginPath();
      this.timeline.drawn.forEach(([frame, hz], i) => { const at = [this.view.x((frame + 0.5) / RATE), this.view.y(midiOf(hz))]; if (i) c.lineTo(...at); else c.moveTo(...at); });
      c.stroke();
    }
  }

  #playhead(c) {
    const x = this.view.x(this.timeline.cursor);
    c.fillStyle = this.colours.ink;
    c.fillRect(x, OVERVIEW, 1.5, this.view.height);
    c.beginPath();
    c.moveTo(x - 5, OVERVIEW);
    c.lineTo(x + 6, OVERVIEW);
    c.lineTo(x + 0.75, OVERVIEW + 8);
    c.fill();
  }

  #notes(c) {
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (let note = this.view.low; note < this.view.high; note++) {
      const black = BLACK_KEYS.includes(note % 12), y = this.view.y(note);
      c.fillStyle = this.colours[black ? "line" : "sunken"];
      c.fillRect(28, y - this.view.noteHeight / 2, GUTTER - 30, Math.max(1, this.view.noteHeight - 1));
      if (note % 12 === 0) { c.fillStyle = this.colours.ink; c.fillText(noteName(note), 25, y); }
    }
    if (this.timeline.range) {
      const [low, high] = this.timeline.range.map((hz) => Math.max(this.view.top, Math.min(this.view.bottom, this.view.y(midiOf(hz) - this.timeline.key))));
      c.fillStyle = this.colours.band;
      c.fillRect(GUTTER - 4, high, 3, Math.max(2, low - high));
    }
  }
}
