// Whose voice a song is converted to, and how: voice, mixture, key and further settings.

import { field, h, icon, redraw, slider } from "../../dom.js";
import { number, percent, signed, t } from "../../i18n.js";

const RETRIEVE = 0.5; // where the slider stands while the voice decides
const LIMIT = 24; // semitones
const BREATHS = { sing: "sing", keep: "keep", half: 0.5, none: 0 };

export class VoicePanel {
  constructor(page) {
    this.page = page;
    this.element = h("aside.side", { "aria-label": t("song.voice") });
  }

  draw() {
    const open = this.element.querySelector("details")?.open;
    redraw(this.element, () => h("section.card", {}, this.#content(open)));
  }

  #content(open) {
    const { state } = this.page, { song, voices, voice } = state;
    if (song.role === "keep") return [h("h2", {}, t("part.kept")), h("p", {}, t("part.kept.text"))];
    const title = h("h2", {}, t("song.voice"));
    if (!voices.length) return [title, h("p", {}, t("song.no_voice")), h("a.button.primary", { href: "#/voices" }, t("home.step1.go"))];
    const choose = h("select", { id: "voice", onchange: () => { state.settings.speaker = null; this.page.set("voice", choose.value); } },
      voices.map((v) => h("option", { value: v.id, selected: v === voice }, v.name)));
    const missing = song.phrases.filter((phrase) => !state.takesOf(phrase.index).length).length;
    const begun = missing && missing < song.phrases.length;
    return [
      title, field(t("song.voice.choose"), choose),
      voice.consent && h("blockquote.consent", {}, h("small", {}, t("voice.consent.shown")), voice.consent),
      voice.speakers.length > 1 && this.#mixture(voice.speakers), this.#key(), this.#more(open),
      h("button.primary.big", {
        type: "button", id: "convert", disabled: state.active("convert").length > 0, onclick: () => state.convert(null, 1),
      }, t(begun ? "song.convert.rest" : "song.convert")),
    ];
  }

  #more(open) {
    const semitones = (v) => `${v > 0 ? "+" : ""}${number(v, 1)}`;
    return h("details", { open }, h("summary", {}, t("song.more")),
      this.#slider("formants", -6, 6, 0.5, semitones), this.#slider("retrieve", 0, 1, 0.05, percent), this.#slider("loudness", 0, 1, 0.05, percent),
      this.#breaths(), this.#slider("smooth_ms", 0, 300, 10, (v) => `${v} ms`, "smooth"), this.#slider("seed", 0, 99, 1, String));
  }

  /** A slider of one setting; `words` is its name in the language files. */
  #slider(name, min, max, step, show, words = name) {
    const value = this.page.state.settings[name] ?? (name === "retrieve" ? RETRIEVE : 0);
    const chosen = (found) => this.page.set(name, found, false);
    return slider(t(`set.${words}`), { id: `s-${name}`, min, max, step, value, show, chosen, hint: t(`set.${words}.hint`) });
  }

  #key() {
    const { state, timeline } = this.page, { key } = state, auto = state.settings.key === "auto";
    const reach = (value) => { const share = state.within(value); return share === null ? "" : t("key.reach", { share: percent(share) }); };
    const shown = (value) => signed(value, Number.isInteger(value) ? 0 : 1);
    const out = h("output", {}, auto ? t("key.auto") : shown(key)), said = h("small.reach", { "aria-live": "polite" }, reach(key));
    const moved = () => {
      timeline.key = Number(input.value);
      out.textContent = shown(timeline.key);
      said.textContent = reach(timeline.key);
      timeline.draw();
    };
    const input = h("input", {
      type: "range", min: -LIMIT, max: LIMIT, step: 1, value: key, id: "key", disabled: auto, oninput: moved, onchange: () => this.page.set("key", Number(input.value)),
    });
    const jump = (by) => h("button.quiet", {
      type: "button", id: `key${by}`, disabled: auto, onclick: () => this.page.set("key", Math.max(-LIMIT, Math.min(LIMIT, key + by))),
    }, shown(by));
    const automatic = h("input", { type: "checkbox", id: "auto", checked: auto, onchange: () => this.page.set("key", automatic.checked ? "auto" : 0) });
    return h("div.slider.key-field", {}, field(t("key.label"), input), out, said,
      h("div.actions.tight", {}, [-12, -1, 1, 12].map(jump), h("label.check", {}, automatic, t("key.auto"))),
      h("button.quiet", { type: "button", onclick: () => state.convert([state.chosen], 1) }, icon("play"), t("key.try")));
  }

  #mixture(speakers) {
    const shares = this.page.state.speakerShares;
    const rows = speakers.map(({ name }) => slider(name, {
      id: `mix-${name}`, min: 0, max: 1, step: 0.05, value: shares[name] ?? 0, show: percent, chosen: changed,
    }));
    const set = (speaker) => this.page.set("speaker", speaker);
    function changed() {
      const mixed = rows.map((row, i) => [speakers[i].name, Number(row.querySelector("input").value)]).filter(([, share]) => share > 0);
      if (!mixed.length) return;
      const sum = mixed.reduce((total, [, share]) => total + share, 0);
      set(mixed.length === 1 ? mixed[0][0] : mixed.map(([name, share]) => `${name}:${(share / sum).toFixed(3)}`).join(","));
    }
    return h("fieldset", {}, h("legend", {}, t("song.mixture")), rows);
  }

  #breaths() {
    const now = this.page.state.settings.breaths;
    const input = h("select", { id: "breaths", onchange: () => this.page.set("breaths", BREATHS[input.value], false) },
      Object.entries(BREATHS).map(([name, value]) => h("option", { value: name, selected: now === value }, t(`breaths.${name}`))));
    return field(t("set.breaths"), input, t("set.breaths.hint"));
  }
}
