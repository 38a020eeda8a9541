// A song's page without its looks: the song, its parts, voices, takes and jobs, and the settings of the next take.

import { get, post } from "../../api.js";
import { midiOf, toast } from "../../dom.js";
import { remember, state } from "../../settings.js";

const REACH = 2; // semitones beyond a voice's recorded range in which it still sounds like itself
const CONVERSION = { speaker: null, key: 0, formants: 0, retrieve: null, loudness: 0, breaths: "sing", smooth_ms: 0, fix_octaves: false, seed: 0 };

/** The settings that a song was converted with last, or that any song was; else the defaults. */
export function lastSettings(id) {
  return { ...CONVERSION, voice: null, ...(state.settings[`song.${id}`] ?? state.settings.last_take ?? {}) };
}

/** What a conversion request carries of some settings. */
export function requested(settings) {
  return Object.fromEntries(["voice", ...Object.keys(CONVERSION)].map((name) => [name, settings[name]]));
}

export class SongState {
  /** `song`: the record of song `id` on the server. */
  constructor(id, song) {
    Object.assign(this, { id, song, top: song.parent ?? id, parts: [], voices: [], takes: [], picks: {}, jobs: new Map() });
    this.chosen = 0; // the phrase whose takes are shown
    this.curve = null; // its f0, which is edited
    this.settings = lastSettings(id);
  }

  async load() {
    const { id, top } = this;
    const paths = [`/songs/${id}`, `/songs/${top}/parts`, "/voices", `/songs/${id}/takes`, `/songs/${id}/picks`];
    [this.song, this.parts, this.voices, this.takes, this.picks] = await Promise.all(paths.map((path) => get(path)));
    this.voices = this.voices.filter((v) => v.state === "ready" || (v.state === "training" && v.examples.length));
    if (!this.voice && this.voices.length) this.settings.voice = this.voices[0].id;
  }

  get voice() { return this.voices.find((v) => v.id === this.settings.voice); }

  /** The takes of a phrase, the best first. */
  takesOf(phrase) {
    return this.takes.filter((take) => take.phrase === phrase).sort((a, b) => b.scores.overall - a.scores.overall);
  }

  picked(phrase) { return this.takes.find((take) => take.id === this.picks[phrase]); }

  /** Whether the f0 was edited after a take was made. */
  stale(take) { return take.created < (this.song.f0_times?.[take.phrase] ?? 0); }

  /** Jobs of this song that wait or run, of one kind or of all. */
  active(kind = null) {
    return [...this.jobs.values()].filter((job) => ["queued", "running"].includes(job.state) && (!kind || job.kind === kind));
  }

  /** The key in semitones; where it is chosen automatically, that of the last take. */
  get key() { return this.settings.key === "auto" ? this.takes.at(-1)?.key ?? 0 : Number(this.settings.key); }

  /** The share of each of the voice's speakers in the mixture, by name. */
  get speakerShares() {
    const names = this.voice?.speakers.map((s) => s.name) ?? [], text = this.settings.speaker;
    if (!text) return { [names[0]]: 1 };
    if (names.includes(text)) return { [text]: 1 };
    const shares = text.split(",").map((part) => {
      const at = part.lastIndexOf(":");
      return [part.slice(0, at).trim(), Number(part.slice(at + 1))];
    });
    return Object.fromEntries(shares.filter(([name]) => names.includes(name)));
  }

  /** The range of the voice, [low, high] in Hz: of a mixture, the geometric mean of its speakers'; null if unknown. */
  get range() {
    const speakers = this.voice?.speakers.filter((s) => s.f0_low) ?? [];
    if (!speakers.length) return null;
    const shares = this.speakerShares, mixed = speakers.filter((s) => (shares[s.name] ?? 0) > 0);
    if (!mixed.length) return [speakers[0].f0_low, speakers[0].f0_high];
    const sum = mixed.reduce((total, s) => total + shares[s.name], 0);
    const mean = (name) => 2 ** (mixed.reduce((total, s) => total + shares[s.name] * Math.log2(s[name]), 0) / sum);
    return [mean("f0_low"), mean("f0_high")];
  }

  /** The share of the song's notes that the voice reaches in a key; null if unknown. */
  within(key) {
    const { range, curve } = this;
    if (!range || !curve) return null;
    const [low, high] = [midiOf(range[0]) - REACH, midiOf(range[1]) + REACH];
    const notes = Array.from(curve.hz).filter((hz) => hz > 0).map((hz) => midiOf(hz) + key);
    return notes.length ? notes.filter((note) => note >= low && note <= high).length / notes.length : null;
  }

  /** Change a setting of the next take, and remember it for this song and for new ones. */
  set(name, value) {
    this.settings[name] = value;
    remember(`song.${this.id}`, this.settings);
    const { voice, speaker, formants, retrieve } = this.settings;
    remember("last_take", { ...CONVERSION, voice, speaker, formants, retrieve });
  }

  /** Ask the server for `count` takes of some phrases, or of all; `more` overrides settings for these takes. */
  async convert(phrases, count, more = {}) {
    try { await post(`/songs/${this.id}/convert`, { settings: requested({ ...this.settings, ...more }), phrases, takes: count }); }
    catch (error) { toast(error.message, "bad"); }
  }
}
