// A song: its picture with f0, the voice that it is converted to, phrases with their takes, parts, export.

import { get, url } from "../api.js";
import { h, redraw, replace, toast } from "../dom.js";
import { Curve, parse } from "../editor.js";
import { explain, t } from "../i18n.js";
import { Player } from "../player.js";
import { Timeline } from "../timeline.js";
import { mixCard } from "./mix.js";
import { mixes } from "./mixes.js";
import { F0Toolbar } from "./song/f0_toolbar.js";
import { Head, JobList } from "./song/head.js";
import { pressed } from "./song/keys.js";
import { Lanes } from "./song/lanes.js";
import { SongState } from "./song/state.js";
import { Transport } from "./song/transport.js";
import { VoicePanel } from "./song/voice_panel.js";

export async function song(id) {
  const page = new SongPage(id, await get(`/songs/${id}`));
  await page.load();
  return page;
}

class SongPage {
  constructor(id, record) {
    this.state = new SongState(id, record);
    this.timeline = this.player = null; // until the song was analysed
    [this.head, this.jobs, this.transport, this.toolbar] = [new Head(this), new JobList(this), new Transport(this), new F0Toolbar(this)];
    [this.panel, this.lanes, this.mixes] = [new VoicePanel(this), new Lanes(this), mixes(this.state.top)];
    this.stage = h("div.stage", {});
    this.mix = h("div.mix-place", {});
    this.element = h("div.page.wide", {}, this.head.element, this.jobs.element,
      h("div.song-grid", {}, this.stage, this.panel.element, this.mix, this.lanes.element));
  }

  get title() { return this.state.song.name; }

  async load() {
    const { state } = this;
    for (const job of await get(`/jobs?subject=${state.id}`)) state.jobs.set(job.id, job);
    await Promise.all([this.reload(), this.mixes.reload()]);
  }

  async reload() {
    await this.state.load();
    if (this.state.song.state === "ready" && !this.timeline) await this.#open();
    this.draw();
  }

  /** Load f0 anew, and with it the picture and the player. */
  async reopen() {
    this.timeline.close();
    this.player.close();
    this.timeline = null;
    await this.reload();
  }

  async #open() {
    const { state, transport, toolbar } = this;
    const read = async (query) => parse(await (await fetch(url(`/songs/${state.id}/f0${query}`))).text());
    state.curve = new Curve(...await Promise.all([read(""), read("?original=true")]));
    this.player = new Player(state.song, (seconds) => {
      this.timeline.move(seconds, this.player.playing);
      transport.showTime();
      if (!this.player.playing) transport.draw();
    });
    const on = {
      seek: (seconds) => transport.seek(seconds), select: () => toolbar.draw(), phrase: (index) => this.choose(index), edited: () => toolbar.edited(),
    };
    this.timeline = new Timeline(state.song, state.curve, on, t);
    this.timeline.canvas.addEventListener("keydown", (event) => pressed(this, event));
  }

  draw() {
    this.head.draw();
    this.jobs.draw();
    if (!this.timeline) { replace(this.stage, h("div.card.waiting", {}, this.#waiting())); return; }
    const { timeline, state } = this;
    timeline.song = state.song;
    timeline.phrase = state.chosen;
    if (!this.stage.contains(timeline.element)) {
      replace(this.stage, this.transport.element, timeline.element, this.toolbar.element);
      timeline.resize();
    }
    this.transport.takePicks();
    this.transport.draw();
    this.toolbar.draw();
    this.panel.draw();
    this.lanes.draw();
    this.#drawMix();
    timeline.tell();
    this.#drawTimeline();
  }

  #waiting() {
    const { state, error } = this.state.song;
    if (state === "failed") return [h("h2", {}, t("song.failed")), h("p", {}, error && explain(error))];
    return [h("div.pulse", {}), h("p", {}, t("song.looking"))];
  }

  /** The picture, with the key and range of the voice, and the phrases that have a take in colour. */
  #drawTimeline() {
    const { timeline, state } = this, style = getComputedStyle(document.documentElement);
    const colour = ({ index }) => style.getPropertyValue(state.picked(index) ? "--accent" : "--line").trim();
    timeline.lanes = new Map(state.song.phrases.map((phrase) => [phrase.index, colour(phrase)]));
    timeline.key = state.key;
    timeline.range = state.range;
    timeline.draw();
  }

  #drawMix() {
    const { state } = this;
    if (state.parts.length < 2) { replace(this.mix); return; }
    this.mixes.show(state.parts);
    const changed = (part) => {
      state.parts = state.parts.map((each) => (each.id === part.id ? part : each));
      if (part.id === state.id) state.song = part;
      this.draw();
    };
    const rendering = state.active("render").length > 0;
    redraw(this.mix, () => mixCard(state.parts, state.id, state.voices, rendering, changed, this.mixes.element));
  }

  /** Change a setting of the next take. `drawn`: the panel shows something else with it. */
  set(name, value, drawn = true) {
    this.state.set(name, value);
    this.#drawTimeline();
    if (drawn) this.panel.draw();
    this.#drawMix();
  }

  /** Open the lane of a phrase. `show`: the timeline goes there, too. */
  choose(index, show = false) {
    const { state, timeline } = this;
    state.chosen = timeline.phrase = index;
    if (show) {
      timeline.cursor = this.player.position = state.song.phrases[index].start;
      timeline.show(timeline.cursor);
      this.transport.showTime();
    }
    timeline.draw();
    this.lanes.draw();
    if (!show) this.lanes.show();
  }

  picksChanged() {
    this.transport.takePicks();
    this.#drawTimeline();
    this.lanes.draw();
  }

  /** An event of the server. */
  event(kind, { subject, data }) {
    const { id, top } = this.state;
    if (kind === "result" && subject === top && data.label) {
      this.mixes.reload();
      toast(t("export.done", { name: data.label }));
    } else if (kind === "take" && subject === id) this.#taken(data);
    else if (kind === "job" && [id, top].includes(subject)) this.#job(data);
    else if (kind === "song" && subject === id && data.deleted) location.hash = "#/";
    else if (kind === "song" && subject === id && !this.timeline) this.reload();
  }

  async #taken(take) {
    const { state } = this;
    if (!state.takes.some((each) => each.id === take.id)) state.takes.push(take);
    state.picks = await get(`/songs/${state.id}/picks`);
    if (!this.timeline) return;
    this.picksChanged();
    this.panel.draw();
  }

  #job(job) {
    const { jobs } = this.state, ended = !["queued", "running"].includes(job.state), before = jobs.get(job.id)?.state;
    jobs.set(job.id, job);
    if (job.state === "failed" && before !== "failed") toast(explain(job.error), "bad");
    this.jobs.draw();
    if (before === job.state) return;
    if (this.timeline) { this.panel.draw(); this.#drawMix(); }
    if (ended) this.reload();
  }

  ready() { this.timeline?.resize(); }

  close() {
    this.toolbar.close();
    this.timeline?.close();
    this.player?.close();
    this.mixes.close();
  }
}
