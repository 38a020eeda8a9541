// The parts of a song: what each is in the mix, and one render of all of them.

import { call, post } from "../api.js";
import { field, h, icon, slider, toast } from "../dom.js";
import { number, signed, t } from "../i18n.js";
import { state } from "../settings.js";
import { lastSettings, requested } from "./song/state.js";

/** The settings that a part is converted with: its own, else those used last; null where there is no voice. */
function settingsOf(part, voices) {
  const found = lastSettings(part.id);
  if (!voices.some((voice) => voice.id === found.voice)) Object.assign(found, { voice: voices[0]?.id, speaker: null });
  return found.voice ? requested(found) : null;
}

/** A card with a row for each part, and `played`, the player of what was mixed. `changed(part)` is called when one was changed on the server. */
export function mixCard(parts, id, voices, busy, changed, played) {
  const top = parts[0].id, ready = parts.every((part) => part.state === "ready");

  async function change(part, fields) {
    try { changed(await call("PATCH", `/songs/${part.id}`, fields)); } catch (error) { toast(error.message, "bad"); changed(part); }
  }

  async function render() {
    const sung = parts.filter((part) => part.role === "sing").map((part) => [part.id, settingsOf(part, voices)]);
    const settings = Object.fromEntries(sung.filter(([, each]) => each));
    try { await post(`/songs/${top}/render`, { settings, format: state.settings.format ?? "wav" }); toast(t("mix.began")); } catch (error) { toast(error.message, "bad"); }
  }

  function row(part, i) {
    const name = i ? part.name : t("part.lead"), settings = settingsOf(part, voices), who = voices.find((voice) => voice.id === settings?.voice);
    const key = settings && (settings.key === "auto" ? t("key.auto") : signed(settings.key));
    const told = part.role === "keep" ? t("part.kept") : who ? `${settings.speaker ?? who.name} · ${t("key.label")} ${key}` : t("song.no_voice");
    const role = h("select", { id: `role-${part.id}`, onchange: () => change(part, { role: role.value }) }, ["sing", "keep"].map((each) => h("option", { value: each, selected: part.role === each }, t(`part.role.${each}`))));
    const gain = slider(t("part.gain"), {
      id: `gain-${part.id}`, min: -24, max: 12, step: 0.5, value: part.gain_db, show: (value) => `${signed(value, 1)} dB`, chosen: (value) => change(part, { gain_db: value }),
    });
    const time = (which, value, empty) => {
      const input = h("input", { type: "number", min: 0, max: Math.ceil(part.seconds), step: 0.1, value: value ?? "", placeholder: empty, id: `${which}-${part.id}`, onchange: () => change(part, { [which]: Number(input.value) || 0 }) });
      return field(t(`mix.${which}`), input);
    };
    return h(`li.mix-part${part.id === id ? ".now" : ""}`, {}, h("div.mix-head", {}, h("strong", {}, name), h("small", {}, told)),
      field(t("part.role"), role), gain,
      h("div.mix-times", {}, time("begins", part.begins || null, "0"), time("ends", part.ends, number(part.seconds, 1))));
  }

  return h("section.card.mix", {}, h("h2", {}, t("mix.title")), h("p.dim", {}, t("mix.text")), h("ol.mix-parts", {}, parts.map(row)),
    h("button.primary", { type: "button", id: "render", disabled: busy || !ready || !voices.length, onclick: render }, icon("save"), t("mix.render")), h("small", {}, t("mix.hint")), played);
}
