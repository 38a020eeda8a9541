// Plays a song and its converted phrases together, so that one can change between them at any moment.

import { binary } from "./api.js";

const EDGE = 0.02, CROSS = 0.04; // seconds, as stages/ui/comp.py has them
const MOST_GAIN_DB = 18;

/** Mean level in dB of the louder part of samples; as stages/ui/analysis.py measures. */
export function level(samples, rate) {
  const block = Math.round(rate / 10), powers = [];
  for (let start = 0; start < samples.length; start += block) {
    const end = Math.min(samples.length, start + block);
    let sum = 0;
    for (let i = start; i < end; i++) sum += samples[i] * samples[i];
    powers.push(sum / block);
  }
  const loud = powers.filter((power) => power > Math.max(...powers) / 1000 && power > 1e-12);
  return loud.length ? 10 * Math.log10(loud.reduce((a, b) => a + b, 0) / loud.length) : -120;
}

export class Player {
  constructor(song, moved = () => {}) {
    this.song = song;
    this.moved = moved;
    this.context = null;
    this.buffers = new Map(); // take id or "source" -> promise of an AudioBuffer
    this.nodes = [];
    this.position = 0;
    this.playing = false;
    this.side = "converted"; // or "source"
    this.until = null;
    this.only = null; // a take that is played by itself
    this.comp = []; // [{phrase, take, followed}]
  }

  open() {
    if (!this.context) {
      this.context = new AudioContext();
      this.gains = {};
      for (const side of ["source", "converted"]) {
        this.gains[side] = this.context.createGain();
        this.gains[side].connect(this.context.destination);
      }
    }
    return this.context.resume();
  }

  buffer(id) {
    if (!this.buffers.has(id)) {
      const path = id === "source" ? `/songs/${this.song.id}/audio` : `/songs/${this.song.id}/takes/${id}/audio`;
      const made = binary(path).then((data) => this.context.decodeAudioData(data));
      made.catch(() => this.buffers.delete(id));
      this.buffers.set(id, made);
    }
    return this.buffers.get(id);
  }

  get now() {
    return this.playing ? Math.min(this.position + this.context.currentTime - this.begun, this.until ?? this.song.seconds) : this.position;
  }

  /** Play from where it stands, to `until` if given; `only`: {phrase, take} by itself in place of what was picked. */
  async play({ from = this.position, until = null, only = null } = {}) {
    this.stop();
    const turn = (this.turn = (this.turn ?? 0) + 1);
    await this.open();
    const chosen = only ? [only] : this.comp.filter(({ phrase }) => phrase.end > from && (until === null || phrase.start < until));
    const source = await this.buffer("source");
    const buffers = await Promise.all(chosen.map(({ take }) => this.buffer(take.id)));
    if (turn !== this.turn) return;
    Object.assign(this, { position: from, until, only, playing: true, begun: this.context.currentTime + 0.03 });
    this.#start(source, 0, this.gains.source, from, null);
    chosen.forEach((each, i) => this.#start(buffers[i], each.take.start, this.gains.converted, from, each));
    this.#balance(source, chosen, buffers, only);
    const tick = () => {
      if (!this.playing || turn !== this.turn) return;
      this.moved(this.now);
      if (this.now >= (this.until ?? this.song.seconds) - 0.005) { this.position = from; this.stop(); this.position = until === null ? 0 : from; this.moved(this.position); return; }
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  /** Add a take that came while playing. */
  async add(each) {
    if (!this.playing || this.only) return;
    const turn = this.turn, buffer = await this.buffer(each.take.id);
    if (turn === this.turn && this.playing && each.phrase.start > this.now) this.#start(buffer, each.take.start, this.gains.converted, this.position, each);
  }

  #start(buffer, start, out, from, each) {
    const node = this.context.createBufferSource(), zero = this.begun - from; // when the song's second 0 is, or was
    node.buffer = buffer;
    if (each) {
      const gain = this.context.createGain(), at = (seconds) => Math.max(this.context.currentTime, zero + seconds);
      const end = start + buffer.duration, { phrase, followed } = each;
      const [rise0, rise1] = phrase.joined ? [phrase.start - CROSS / 2, phrase.start + CROSS / 2] : [start, start + EDGE];
      const [fall0, fall1] = followed ? [phrase.end - CROSS / 2, phrase.end + CROSS / 2] : [end - EDGE, end];
      if (from < rise1) { gain.gain.setValueAtTime(0, at(rise0)); gain.gain.linearRampToValueAtTime(1, at(rise1)); }
      gain.gain.setValueAtTime(1, at(fall0));
      gain.gain.linearRampToValueAtTime(0, at(fall1));
      node.connect(gain).connect(out);
    } else node.connect(out);
    const offset = Math.max(0, from - start);
    if (offset >= buffer.duration) return;
    node.start(zero + start + offset, offset);
    if (this.until !== null) node.stop(zero + this.until);
    this.nodes.push(node);
  }

  /** Make both sides equally loud. */
  #balance(source, chosen, buffers, only) {
    let difference = 0;
    if (only) {
      const data = source.getChannelData(0), rate = source.sampleRate;
      const part = data.subarray(Math.round(only.phrase.start * rate), Math.round(only.phrase.end * rate));
      difference = level(part, rate) - level(buffers[0].getChannelData(0), buffers[0].sampleRate);
    } else if (this.comp.length) {
      const mean = this.comp.reduce((sum, { take }) => sum + 10 ** (take.rms_db / 10) * take.seconds, 0) / this.comp.reduce((sum, { take }) => sum + take.seconds, 0);
      difference = this.song.rms_db - 10 * Math.log10(Math.max(1e-12, mean));
    }
    this.matched = 10 ** (Math.max(-MOST_GAIN_DB, Math.min(MOST_GAIN_DB, difference)) / 20);
    this.hear(this.side);
  }

  /** Hear the source or what was converted. */
  hear(side) {
    this.side = side;
    if (!this.context) return;
    const now = this.context.currentTime, silent = !this.comp.length && !this.only;
    this.gains.source.gain.setTargetAtTime(side === "source" || silent ? 1 : 0, now, 0.008);
    this.gains.converted.gain.setTargetAtTime(side === "source" ? 0 : this.matched ?? 1, now, 0.008);
  }

  stop() {
    this.position = this.now;
    this.playing = false;
    this.turn = (this.turn ?? 0) + 1;
    for (const node of this.nodes) { try { node.stop(); } catch { /* it has not begun */ } node.disconnect(); }
    this.nodes = [];
  }

  close() {
    this.stop();
    this.context?.close();
    this.context = null;
  }
}
