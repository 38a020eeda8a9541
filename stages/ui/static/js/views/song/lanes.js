// The phrases of a song, each a lane with its takes: play, pick, delete, and make others.

import { call } from "../../api.js";
import { clock, h, icon, redraw, replace, toast } from "../../dom.js";
import { number, percent, signed, t } from "../../i18n.js";

const OTHER_VOICES = 4; // that a retake is offered in, at most

export class Lanes {
  constructor(page) {
    this.page = page;
    this.element = h("section.lanes", {});
    this.open = false; // whether the menu of changes is
  }

  draw() {
    const { song } = this.page.state;
    if (song.role === "keep") { replace(this.element); return; }
    redraw(this.element, () => [h("div.lanes-head", {}, h("h2", {}, t("lanes.title")), h("small.dim", {}, t("lanes.hint"))),
      h("ol.lane-list", {}, song.phrases.map((phrase) => this.#lane(phrase)))]);
  }

  /** Scroll to the lane that is open. */
  show() {
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    this.element.querySelector(".lane.open")?.scrollIntoView({ block: "nearest", behavior });
  }

  #lane(phrase) {
    const { state } = this.page, takes = state.takesOf(phrase.index), picked = state.picked(phrase.index), open = phrase.index === state.chosen;
    const status = !takes.length ? t("lane.empty") : !picked ? t("lane.silent") : t("lane.takes", { n: takes.length });
    const head = h("button.lane-head", {
      type: "button", id: `lane-${phrase.index}`, "aria-expanded": String(open), onclick: () => this.page.choose(open ? -1 : phrase.index, !open),
    }, h("span.lane-nr", {}, String(phrase.index + 1)), h("span.lane-time", {}, `${clock(phrase.start, true)} – ${clock(phrase.end, true)}`),
    h("span.lane-state", {}, status), picked && bars(picked.scores), picked && state.stale(picked) && h("span.badge.fair", {}, t("lane.stale")));
    return h(`li.lane${open ? ".open" : ""}`, {}, head, open && h("div.lane-body", {},
      takes.length ? this.#table(phrase, takes, picked) : h("p.nothing", {}, t("lane.none")), this.#retakes(phrase, picked)));
  }

  #table(phrase, takes, picked) {
    const titles = ["", t("take.take"), t("take.score"), t("take.settings"), ""];
    return h("table.takes", {},
      h("thead", {}, h("tr", {}, titles.map((text) => h("th", { scope: "col" }, text || h("span.sr", {}, t("take.actions")))))),
      h("tbody", {}, takes.map((take, i) => this.#row(phrase, take, i + 1, picked?.id === take.id))));
  }

  #row(phrase, take, place, picked) {
    const pick = () => this.#pick(phrase.index, picked ? null : take.id);
    return h("tr", { className: picked ? "picked" : "" },
      h("td", {}, h("button.quiet.round", {
        type: "button", id: `p-${take.id}`, "aria-label": t("take.play", { n: place }), onclick: () => this.page.transport.playTake(phrase, take),
      }, icon("play"))),
      h("td", {}, h("button", {
        type: "button", id: `k-${take.id}`, className: picked ? "pick on" : "pick", "aria-pressed": String(picked), onclick: pick,
      }, picked && icon("check"), t(picked ? "take.picked" : "take.pick")), this.page.state.stale(take) && h("small.bad", {}, t("lane.stale"))),
      h("td", {}, bars(take.scores), h("small.dim", {}, scores(take.scores, ["in_tune", "phones"], " · "))),
      h("td.settings", {}, this.#settings(take)),
      h("td", {}, h("button.quiet.round", {
        type: "button", "aria-label": t("take.delete", { n: place }), onclick: () => this.#delete(take),
      }, icon("trash"))));
  }

  /** What a take was made with, in words. */
  #settings({ settings, key }) {
    const { voice, speaker, formants, retrieve, breaths, seed } = settings, sung = breaths === undefined || breaths === "sing";
    return [
      this.page.state.voices.find((v) => v.id === voice)?.name, speaker, `${t("key.label")} ${signed(key)}`,
      formants && `${t("set.formants")} ${number(formants, 1)}`, retrieve !== null && `${t("set.retrieve")} ${percent(retrieve)}`,
      !sung && `${t("set.breaths")}: ${breaths === "keep" ? t("breaths.keep.short") : percent(breaths)}`, `${t("set.seed")} ${seed}`,
    ].filter(Boolean).join(" · ");
  }

  async #delete(take) {
    await call("DELETE", `/songs/${this.page.state.id}/takes/${take.id}`);
    await this.page.reload();
  }

  async #pick(phrase, take) {
    const { state } = this.page;
    try { state.picks = await call("PUT", `/songs/${state.id}/picks`, { picks: { [phrase]: take } }); this.page.picksChanged(); }
    catch (error) { toast(error.message, "bad"); }
  }

  #retakes(phrase, picked) {
    const { state, transport } = this.page, seed = Math.max(-1, ...state.takesOf(phrase.index).map((take) => take.settings.seed)) + 1;
    const make = (more, count = 1) => () => state.convert([phrase.index], count, more);
    return h("div.actions", {},
      h("button", { type: "button", id: `r-${phrase.index}`, onclick: make({ seed }) }, icon("again"), t("retake")),
      h("button", { type: "button", id: `r3-${phrase.index}`, onclick: make({ seed }, 3) }, t("retake.three")),
      picked && h("button.quiet", { type: "button", onclick: () => transport.swap() }, t("ab.swap")),
      h("details.menu", { open: this.open, ontoggle: (event) => { this.open = event.target.open; } },
        h("summary", { id: `other-${phrase.index}` }, t("retake.other")),
        h("div.two", {}, this.#changes().map(([label, more]) => h("button.quiet", { type: "button", onclick: make(more) }, label)))));
  }

  /** Changes that a phrase is often converted again with: [label, settings]. */
  #changes() {
    const { key, settings: { formants }, voices, voice } = this.page.state;
    const changes = {
      octave_up: { key: Math.min(24, key + 12) }, octave_down: { key: Math.max(-24, key - 12) },
      formants_up: { formants: Math.min(6, formants + 1) }, formants_down: { formants: Math.max(-6, formants - 1) },
      retrieve_more: { retrieve: 1 }, retrieve_none: { retrieve: 0 }, breaths_keep: { breaths: "keep" }, breaths_none: { breaths: 0 },
      loudness: { loudness: 1 }, octaves: { fix_octaves: true },
    };
    const others = voices.filter((v) => v !== voice).slice(0, OTHER_VOICES);
    return [
      ...Object.entries(changes).map(([name, more]) => [t(`retake.${name}`), more]),
      ...others.map((v) => [t("retake.voice", { name: v.name }), { voice: v.id, speaker: null }]),
    ];
  }
}

function scores(found, names, between) {
  return names.filter((name) => found[name] !== null).map((name) => `${t(`score.${name}`)} ${percent(found[name])}`).join(between);
}

/** The overall score as a bar and as a number; the others as its title. */
function bars(found) {
  const width = `${Math.round(100 * found.overall)}%`;
  return h("span.score", { title: scores(found, ["in_tune", "phones", "loudness"], ", ") },
    h("span.score-bar", { "aria-hidden": "true" }, h("span", { style: { width } })), percent(found.overall));
}
