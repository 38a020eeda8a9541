// Editing an f0 curve: Hz a mel frame, 0 where nothing is voiced. No element in here; tests/stages/ui runs it by itself.

const FRAMES_A_SECOND = 44100 / 512;

/** A curve with undo. `hz` is a Float32Array; `changed(start, end)` is called after every edit. */
export class Curve {
  constructor(hz, original = hz, changed = () => {}) {
    this.hz = Float32Array.from(hz);
    this.original = Float32Array.from(original);
    this.changed = changed;
    this.past = [];
    this.future = [];
    this.vibrato = null; // semitones a frame, copied from a note
  }

  /** Replace frames [start, end) by what `make` gives for a copy of them. */
  edit(start, end, make) {
    [start, end] = [Math.max(0, start), Math.min(this.hz.length, end)];
    if (end <= start) return false;
    const before = this.hz.slice(start, end);
    const after = Float32Array.from(make(Float32Array.from(before)), limited);
    if (after.every((value, i) => value === before[i])) return false;
    this.past.push({ start, before, after });
    this.future = [];
    this.hz.set(after, start);
    this.changed(start, end);
    return true;
  }

  undo() { return this.#move(this.past, this.future, "before"); }

  redo() { return this.#move(this.future, this.past, "after"); }

  #move(from, to, which) {
    const edit = from.pop();
    if (!edit) return false;
    to.push(edit);
    this.hz.set(edit[which], edit.start);
    this.changed(edit.start, edit.start + edit.before.length);
    return true;
  }

  /** Move by semitones. */
  shift(start, end, semitones) {
    return this.edit(start, end, (part) => part.map((hz) => hz * 2 ** (semitones / 12)));
  }

  /** Bring what lies an octave from the notes around to them; the selection itself moves by whole octaves only. */
  fixOctaves(start, end) {
    const around = median(voiced(this.hz.slice(Math.max(0, start - 86), end + 86)).map(Math.log2));
    return this.edit(start, end, (part) => part.map((hz) => (hz > 0 ? hz * 2 ** Math.round(around - Math.log2(hz)) : 0)));
  }

  /** Take vibrato and drift out of each voiced run: `amount` 1 leaves its slow line, 0 all. */
  straighten(start, end, amount = 1) {
    return this.edit(start, end, (part) => overRuns(part, (logs) => {
      const slow = smooth(logs, Math.round(0.35 * FRAMES_A_SECOND));
      return logs.map((value, i) => value + amount * (slow[i] - value));
    }));
  }

  /** Remember the vibrato of the longest voiced run in [start, end). */
  copyVibrato(start, end) {
    const run = runs(this.hz.slice(start, end)).sort((a, b) => b.length - a.length)[0];
    if (!run || run.length < 10) return false;
    const logs = run.values.map(Math.log2), slow = smooth(logs, Math.round(0.35 * FRAMES_A_SECOND));
    this.vibrato = logs.map((value, i) => 12 * (value - slow[i]));
    return true;
  }

  /** Give the copied vibrato, repeated as long as needed, to what is straightened first. */
  pasteVibrato(start, end) {
    if (!this.vibrato) return false;
    return this.edit(start, end, (part) => overRuns(part, (logs) => {
      const slow = smooth(logs, Math.round(0.35 * FRAMES_A_SECOND));
      return slow.map((value, i) => {
        const edge = Math.min(1, (i + 1) / 8, (slow.length - i) / 8);
        return value + (edge * bounced(this.vibrato, i)) / 12;
      });
    }));
  }

  mute(start, end) { return this.edit(start, end, (part) => part.fill(0)); }

  restore(start, end) { return this.edit(start, end, () => this.original.slice(start, end)); }

  /** A line of points [frame, hz] that the pointer went; between them it is straight in pitch. */
  draw(points) {
    const line = new Map();
    points.forEach(([frame, hz], i) => {
      const [from, fromHz] = i ? points[i - 1] : [frame, hz];
      const steps = Math.max(1, Math.abs(frame - from));
      for (let k = 0; k <= steps; k++) {
        line.set(from + Math.round((k / steps) * (frame - from)), 2 ** (Math.log2(fromHz) + (k / steps) * Math.log2(hz / fromHz)));
      }
    });
    const frames = [...line.keys()], start = Math.max(0, Math.min(...frames));
    return this.edit(start, Math.max(...frames) + 1, (part) => part.map((hz, i) => line.get(start + i) ?? hz));
  }

  /** The voiced run around a frame, cut where the pitch jumps by more than 0.8 semitones: [start, end), or null. */
  noteAt(frame) {
    if (!(this.hz[frame] > 0)) return null;
    const next = (a, b) => this.hz[b] > 0 && Math.abs(12 * Math.log2(this.hz[a] / this.hz[b])) < 0.8;
    let start = frame, end = frame + 1;
    while (start > 0 && next(start, start - 1)) start--;
    while (end < this.hz.length && next(end - 1, end)) end++;
    return [start, end];
  }

  /** As `svc render --f0-file` takes it. */
  csv() {
    const lines = Array.from(this.hz, (hz, m) => `${((m + 0.5) / FRAMES_A_SECOND).toFixed(6)},${hz ? Number(hz.toPrecision(9)) : 0}`);
    return ["seconds,hz", ...lines, ""].join("\n");
  }
}

export function parse(csv) {
  return Float32Array.from(csv.trim().split("\n").slice(1), (line) => Number(line.split(",")[1]));
}

const limited = (hz) => (hz > 0 ? Math.min(2000, Math.max(40, hz)) : 0);
const voiced = (part) => Array.from(part).filter((hz) => hz > 0);

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : 0;
}

function runs(part) {
  const found = [];
  for (let i = 0; i < part.length; i++) {
    if (!(part[i] > 0)) continue;
    if (i && part[i - 1] > 0) found.at(-1).values.push(part[i]);
    else found.push({ start: i, values: [part[i]] });
  }
  return found.map((run) => ({ ...run, length: run.values.length }));
}

/** A copy of `part` in which `make` has changed log2 of each voiced run. */
function overRuns(part, make) {
  const out = Float32Array.from(part);
  for (const run of runs(part)) make(run.values.map(Math.log2)).forEach((value, i) => { out[run.start + i] = 2 ** value; });
  return out;
}

/** A running mean that is as wide as it can be near the ends. */
function smooth(values, width) {
  const sums = [0];
  for (const value of values) sums.push(sums.at(-1) + value);
  return values.map((_, i) => {
    const half = Math.min(Math.floor(width / 2), i, values.length - 1 - i);
    return (sums[i + half + 1] - sums[i - half]) / (2 * half + 1);
  });
}

/** values[i], going back and forth beyond the end so that nothing jumps. */
function bounced(values, i) {
  const period = Math.max(1, 2 * values.length - 2), at = i % period;
  return values[at < values.length ? at : period - at];
}
