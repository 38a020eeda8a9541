// The mixes that were made of a song's parts, each beside the mix of the originals: equally loud, at the same moment.

import { binary, get } from "../api.js";
import { clock, field, h, icon, redraw, replace, toast } from "../dom.js";
import { t } from "../i18n.js";
import { Player } from "../player.js";

const RATE = 44100; // Hz, of the mix of the originals
const ID = /^[0-9a-f]+$/;

/** Plays results in place of takes, and all parts in place of the song. */
class MixPlayer extends Player {
  constructor(parts, moved) {
    super({ id: parts[0].id, seconds: Math.max(...parts.map((part) => part.seconds)) }, moved);
    this.parts = parts;
  }

  buffer(id) {
    if (!this.buffers.has(id)) {
      const made = id === "source" ? originals(this.parts) : binary(`/results/${id}/file`).then((data) => this.context.decodeAudioData(data));
      made.catch(() => this.buffers.delete(id));
      this.buffers.set(id, made);
    }
    return this.buffers.get(id);
  }
}

/** The recordings of parts as one buffer, with their gains, each from and to its seconds. */
export async function originals(parts) {
  const context = new OfflineAudioContext(1, Math.ceil(RATE * Math.max(...parts.map((part) => part.seconds))), RATE);
  await Promise.all(parts.map(async (part) => {
    const node = context.createBufferSource(), gain = context.createGain(), begins = part.begins ?? 0;
    node.buffer = await context.decodeAudioData(await binary(`/songs/${part.id}/audio`));
    gain.gain.value = 10 ** (part.gain_db / 20);
    node.connect(gain).connect(context.destination);
    node.start(begins, begins, Math.max(0, (part.ends ?? part.seconds) - begins));
  }));
  return context.startRendering();
}

/** A player of a song's mixes: {element, show(parts), reload(), close()}. It is empty until there is a mix. */
export function mixes(top) {
  const element = h("div.mixes", { role: "group", "aria-label": t("mixes.label") });
  let parts = [], found = [], chosen = null, player = null, made = "";

  async function reload() {
    found = (await get(`/results?song=${top}`)).filter((result) => result.media.startsWith("audio/") && ID.test(result.id));
    if (!found.some((result) => result.id === chosen)) chosen = found[0]?.id ?? null;
    draw();
  }

  /** The parts as they are now: gains and times that changed count from the next start on. */
  function show(given) {
    const now = JSON.stringify(given.map(({ id, gain_db, begins, ends, seconds, state }) => [id, gain_db, begins, ends, seconds, state]));
    parts = given;
    if (now === made) return;
    made = now;
    player?.close();
    player = parts.every((part) => part.state === "ready") ? new MixPlayer(parts, moved) : null;
    draw();
  }

  function moved() { if (!player.playing) draw(); else showTime(); }
  function showTime() { const out = element.querySelector("output"); if (out) out.textContent = `${clock(player.now, true)} / ${clock(player.song.seconds)}`; }
  const whole = () => ({ phrase: { start: 0, end: player.song.seconds, joined: false }, take: { id: chosen, start: 0 }, followed: false });

  async function play(from) {
    try { await player.play({ from: from >= player.song.seconds - 0.05 ? 0 : from, only: whole() }); } catch (error) { toast(error.message, "bad"); }
    draw();
  }

  function draw() {
    if (!player || !found.length) { replace(element); return; }
    const at = (result) => new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "short" }).format(result.created * 1000);
    const which = h("select", { id: "mix-result", onchange: () => { chosen = which.value; if (player.playing) play(player.now); } }, found.map((result) => h("option", { value: result.id, selected: result.id === chosen }, `${result.label} · ${at(result)}`)));
    const side = (name) => h("button", { type: "button", id: `mix-${name}`, "aria-pressed": String(player.side === name), onclick: () => { player.hear(name); draw(); } }, t(`ab.${name}`));
    redraw(element, () => [field(t("mixes.label"), which), h("div.mix-play", {},
      h("button.round.primary", { type: "button", id: "mix-play", "aria-label": t(player.playing ? "pause" : "play"), onclick: () => { if (player.playing) { player.stop(); draw(); } else play(player.position); } }, icon(player.playing ? "pause" : "play")),
      h("output.time", {}), h("div.segmented", { role: "group", "aria-label": t("ab.label") }, ["source", "converted"].map(side)))]);
    showTime();
  }

  return { element, show, reload, close: () => player?.close() };
}
