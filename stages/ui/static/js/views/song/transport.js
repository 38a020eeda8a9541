// Playing a song: start, stop, source or converted, zoom, and which takes are played.

import { clock, h, icon, redraw, toast } from "../../dom.js";
import { t } from "../../i18n.js";
import { RATE } from "../../timeline.js";

export class Transport {
  constructor(page) {
    this.page = page;
    this.element = h("div.transport", { role: "group", "aria-label": t("play") });
    this.time = h("output.time", {});
  }

  draw() {
    const { player, timeline } = this.page;
    const side = (name) => h("button", {
      type: "button", dataset: { name }, "aria-pressed": String(player.side === name), onclick: () => this.hear(name),
    }, t(`ab.${name}`));
    const zoom = (name, factor) => h("button.quiet.round", {
      type: "button", dataset: { name }, "aria-label": t(name), title: t(name), onclick: () => timeline.zoom(factor),
    }, icon(name));
    const doing = player.playing ? "pause" : "play";
    redraw(this.element, () => [
      h("button.round.primary", { type: "button", dataset: { name: "play" }, "aria-label": t(doing), onclick: () => this.toggle() }, icon(doing)),
      this.time, h("div.segmented", { role: "group", "aria-label": t("ab.label") }, ["source", "converted"].map(side)),
      h("small.dim.wide-only", {}, t("ab.hint")), h("span.gap", {}), zoom("zoomout", 1 / 1.5), zoom("zoomin", 1.5),
    ]);
    this.showTime();
  }

  showTime() { this.time.textContent = `${clock(this.page.player.now, true)} / ${clock(this.page.state.song.seconds)}`; }

  /** Start, on the selection where there is one, or stop. */
  async toggle() {
    const { player, timeline, state } = this.page;
    if (player.playing) player.stop();
    else if (timeline.selection) await this.#play({ from: timeline.selection[0] / RATE, until: timeline.selection[1] / RATE });
    else await this.#play({ from: player.position >= state.song.seconds - 0.05 ? 0 : player.position });
    this.draw();
  }

  async #play(what) {
    try { await this.page.player.play(what); } catch (error) { toast(error.message, "bad"); }
  }

  /** Play the source or what was converted. */
  hear(side) {
    this.page.player.hear(side);
    this.draw();
  }

  swap() { this.hear(this.page.player.side === "source" ? "converted" : "source"); }

  seek(seconds) {
    const { player, timeline } = this.page, playing = player.playing;
    player.stop();
    player.position = seconds;
    timeline.move(seconds);
    this.showTime();
    if (playing) player.play().then(() => this.draw());
  }

  /** Play a take by itself, or stop it. */
  async playTake(phrase, take) {
    const { player } = this.page;
    if (player.playing && player.only?.take.id === take.id) player.stop();
    else {
      player.hear("converted");
      await this.#play({ from: phrase.start, until: phrase.end, only: { phrase: { ...phrase, joined: false }, take, followed: false } });
    }
    this.draw();
  }

  /** Give the player the takes that are picked now. It goes on playing: what is new joins in, what was replaced begins anew. */
  takePicks() {
    const { player, state } = this.page, { phrases } = state.song;
    const joined = new Set(phrases.filter((p) => p.joined).map((p) => p.index - 1));
    const comp = phrases.map((phrase) => ({ phrase, take: state.picked(phrase.index), followed: joined.has(phrase.index) })).filter(({ take }) => take);
    const before = new Map(player.comp.map(({ phrase, take }) => [phrase.index, take.id]));
    const added = comp.filter(({ phrase }) => !before.has(phrase.index));
    const replaced = comp.some(({ phrase, take }) => before.has(phrase.index) && before.get(phrase.index) !== take.id);
    player.comp = comp;
    if (!player.playing || player.only) return;
    if (replaced && comp.length - added.length === before.size) player.play({ from: player.now });
    else added.forEach((each) => player.add(each));
  }
}
