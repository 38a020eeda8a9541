// What a timeline shows of a song: from when to when, which notes, and where they lie on the canvas.

import { midiOf } from "../dom.js";
import { TOP_NOTE } from "./spectrogram.js";

export const RATE = 44100 / 512; // mel frames a second
export const OVERVIEW = 40, RULER = 20, WAVE = 52, GUTTER = 46; // pixels: heights from the top down, and the keyboard's width
const NARROW = 600, HEIGHTS = [330, 420]; // below this width it is less high
const CLOSEST = 600, FIRST_SECONDS = 12, FIRST_PIXELS = 90; // pixels a second at most; what is shown at first

export class Viewport {
  constructor(seconds, curve) {
    this.songSeconds = seconds;
    this.pixels = 0; // a second
    this.start = 0; // seconds at the left edge
    [this.width, this.height, this.scale] = [0, 0, 1];
    this.#notes(curve);
  }

  /** Choose the notes that are shown: those of the song, and some more. */
  #notes(curve) {
    const voiced = Array.from(curve.hz).filter((hz) => hz > 0).map(midiOf).sort((a, b) => a - b);
    const at = (share) => voiced[Math.floor(voiced.length * share)];
    const [low, high] = voiced.length ? [at(0.005), at(0.995)] : [48, 72];
    this.low = Math.max(36, Math.floor(low) - 5);
    this.high = Math.min(TOP_NOTE, Math.max(this.low + 18, Math.ceil(high) + 6));
  }

  /** Take the size of the element that it lies in. */
  resize(width, scale) {
    const inner = width - GUTTER, whole = inner / this.songSeconds;
    Object.assign(this, { width, scale, height: HEIGHTS[width < NARROW ? 0 : 1] });
    this.pixels = Math.max(whole, this.pixels || Math.min(FIRST_PIXELS, inner / Math.min(FIRST_SECONDS, this.songSeconds)));
  }

  x(seconds) { return GUTTER + (seconds - this.start) * this.pixels; }
  seconds(x) { return this.start + (x - GUTTER) / this.pixels; }
  y(midi) { return this.top + ((this.high - midi) / (this.high - this.low)) * (this.bottom - this.top); }
  midi(y) { return this.high - ((y - this.top) / (this.bottom - this.top)) * (this.high - this.low); }
  get top() { return OVERVIEW + RULER + WAVE; }
  get bottom() { return this.height; }
  get noteHeight() { return (this.bottom - this.top) / (this.high - this.low); }

  /** The seconds that are shown. */
  get shown() { return (this.width - GUTTER) / this.pixels; }

  zoom(factor, around) {
    const at = this.x(around);
    this.pixels = Math.min(CLOSEST, Math.max((this.width - GUTTER) / this.songSeconds, this.pixels * factor));
    this.begin(around - (Math.min(this.width, Math.max(GUTTER, at)) - GUTTER) / this.pixels);
  }

  /** Begin at a second, as far as the song reaches. */
  begin(seconds) { this.start = Math.max(0, Math.min(this.songSeconds - this.shown, seconds)); }

  /** Bring a moment into view. */
  show(seconds) {
    if (seconds < this.start || seconds > this.start + this.shown * 0.95) this.begin(seconds - this.shown * 0.1);
  }
}
