// Live conversion: a voice, its settings, and the microphone.

import { get } from "../api.js";
import { field, h, icon, redraw, replace, slider, toast } from "../dom.js";
import { explain, number, percent, signed, t } from "../i18n.js";
import { LiveConnection } from "../live/connection.js";
import { remember, state } from "../settings.js";

const DEFAULTS = { voice: null, speaker: null, key: 0, formants: 0, retrieve: null, gate_db: -60, bypass: false };
const QUIETEST = -60; // dB, at the left end of a level meter

export async function live() {
  const voices = (await get("/voices")).filter((v) => v.state === "ready");
  return new LivePage(voices);
}

class LivePage {
  constructor(voices) {
    this.voices = voices;
    this.settings = { ...DEFAULTS, ...(state.settings.live ?? {}), bypass: false };
    if (!this.voice) Object.assign(this.settings, { voice: voices[0]?.id ?? null, speaker: null });
    this.connection = null;
    this.status = h("p.live-status", { role: "status" }, t("live.off"));
    this.meters = h("div.meters", {});
    this.card = h("section.card", {});
    this.element = h("div.page", {}, h("div.hero", {}, h("h1", {}, t("live.title")), h("p.lead", {}, t("live.text"))), this.card);
    this.draw();
  }

  get title() { return t("live.title"); }

  get voice() { return this.voices.find((v) => v.id === this.settings.voice); }

  draw() {
    if (!this.voices.length) {
      replace(this.card, h("p", {}, t("live.no_voice")), h("a.button.primary", { href: "#/voices" }, t("home.step1.go")));
      return;
    }
    const on = this.connection !== null;
    const voice = this.#select("live-voice", this.voices.map((v) => [v.id, v.name]), this.settings.voice, (id) => this.#set({ voice: id, speaker: null }), on);
    const speakers = this.voice.speakers.map(({ name }) => [name, name]);
    const bypass = h("input", { type: "checkbox", id: "live-bypass", checked: this.settings.bypass, onchange: () => this.#set({ bypass: bypass.checked }) });
    redraw(this.card, () => [
      field(t("song.voice"), voice),
      speakers.length > 1 && field(t("live.speaker"), this.#select("live-speaker", speakers, this.settings.speaker ?? speakers[0][0], (name) => this.#set({ speaker: name }))),
      h("div.actions", {}, h("button.primary.big", { type: "button", id: "live-go", onclick: () => (on ? this.stop() : this.start()) },
        icon(on ? "stop" : "play"), t(on ? "live.stop" : "live.start")), h("small", {}, t("live.headphones"))),
      this.status, this.meters,
      this.#slider("key", t("key.label"), -24, 24, 1, signed), this.#slider("formants", t("set.formants"), -6, 6, 0.5, (v) => signed(v, 1)),
      this.#slider("retrieve", t("set.retrieve"), 0, 1, 0.05, percent), this.#slider("gate_db", t("live.gate"), -90, -20, 1, (v) => `${signed(v)} dB`),
      h("label.check", {}, bypass, t("live.bypass")),
    ]);
  }

  #select(id, choices, now, chosen, disabled = false) {
    return h("select", { id, disabled, onchange: (event) => chosen(event.target.value) },
      choices.map(([value, label]) => h("option", { value, selected: value === now }, label)));
  }

  #slider(name, label, min, max, step, show) {
    const value = this.settings[name] ?? 0.5, chosen = (found) => this.#set({ [name]: found }, false);
    return slider(label, { id: `live-${name}`, min, max, step, value, show, chosen });
  }

  #set(values, drawn = true) {
    Object.assign(this.settings, values);
    remember("live", this.settings);
    const { voice, ...settings } = this.settings;
    this.connection?.change(settings);
    if (drawn) this.draw();
  }

  async start() {
    const connection = new LiveConnection({
      event: (event) => this.#event(event), report: (report) => this.#report(report), closed: () => this.stop(),
    });
    this.connection = connection;
    this.failed = null;
    this.status.textContent = t("live.loading");
    this.draw();
    try { await connection.open(this.settings); } catch (error) { this.failed = error.message; this.stop(); }
  }

  stop() {
    if (!this.connection) return;
    const { connection } = this;
    this.connection = null;
    connection.close();
    replace(this.meters);
    this.status.textContent = this.failed ?? t("live.off");
    this.draw();
  }

  #event({ event, error }) {
    if (event === "ready") this.status.textContent = t("live.on");
    else if (event === "error") {
      if (this.connection?.ready && error.code === "not_changed") toast(explain(error), "bad");
      else this.failed = explain(error);
    }
  }

  #report({ in: recorded, out, latency, underruns }) {
    if (!this.connection?.status) return;
    const { converted, dropped, hop_ms, hop_p50_ms } = this.connection.status;
    replace(this.meters, meter(t("live.in"), recorded), meter(t("live.out"), out));
    if (latency === null) return;
    const share = hop_p50_ms / hop_ms, gone = dropped || underruns ? t("live.lost", { hops: number(dropped), gaps: number(underruns) }) : "";
    this.meters.append(h("p.dim", { id: "live-latency" }, [
      t("live.latency", { ms: number(1000 * latency) }), converted > 0 && t("live.load", { share: percent(share) }), gone,
    ].filter(Boolean).join(" · ")));
  }

  close() { this.stop(); }
}

/** A bar for a peak of 0 to 1, in decibels. */
function meter(label, peak) {
  const share = Math.max(0, Math.min(1, 1 - (20 * Math.log10(Math.max(peak, 1e-6))) / QUIETEST));
  return h("div.meter", {}, h("small", {}, label), h("span.meter-bar", { "aria-hidden": "true" }, h("span", { style: { width: `${Math.round(100 * share)}%` } })));
}
