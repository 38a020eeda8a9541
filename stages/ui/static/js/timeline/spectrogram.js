// The spectrogram of a song as grey tiles of the server, coloured for the theme.

import { url } from "../api.js";

export const TOP_NOTE = 108; // MIDI note of a tile's first row
export const ROWS = 3; // of a semitone
export const TILE = 1024; // frames of a tile

function hex(colour) {
  const value = parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** 256 colours between stops. */
function ramp(stops) {
  const colours = stops.map(hex);
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) ** 1.15 * (colours.length - 1), k = Math.min(colours.length - 2, Math.floor(at)), share = at - k;
    return colours[k].map((value, c) => Math.round(value + share * (colours[k + 1][c] - value)));
  });
}

export class SpectrogramTiles {
  /** `loaded` is called when a tile has come. */
  constructor(song, loaded) {
    Object.assign(this, { song, loaded, tiles: new Map(), ramp: null });
  }

  /** Use other colours, given as stops from silent to loud. */
  colour(stops) {
    this.ramp = ramp(stops);
    this.tiles.clear();
  }

  /** A tile as a canvas; null until it is loaded. */
  get(number) {
    if (!this.tiles.has(number)) {
      this.tiles.set(number, null);
      const image = new Image();
      image.onload = () => { this.tiles.set(number, this.#coloured(image)); this.loaded(); };
      image.src = url(`/songs/${this.song.id}/spectrogram/${number}`);
    }
    return this.tiles.get(number);
  }

  #coloured(image) {
    const canvas = new OffscreenCanvas(image.width, image.height), c = canvas.getContext("2d", { willReadFrequently: true });
    c.drawImage(image, 0, 0);
    const data = c.getImageData(0, 0, image.width, image.height), d = data.data;
    for (let i = 0; i < d.length; i += 4) [d[i], d[i + 1], d[i + 2]] = this.ramp[d[i]];
    c.putImageData(data, 0, 0);
    return canvas;
  }
}
