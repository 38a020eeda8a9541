// Voices: recordings, what they are like, training, listening to it.

import { call, get, post, upload, url } from "../api.js";
import { lines, notes } from "../chart.js";
import { clock, dropzone, field, h, icon, midiOf, noteName, replace, toast } from "../dom.js";
import { bytes, explain, left, number, percent, stage, t, unit } from "../i18n.js";
import { remember, state } from "../settings.js";

const range = (voice) => {
  const known = voice.speakers.filter((s) => s.f0_low);
  if (!known.length) return "";
  return `${noteName(midiOf(Math.min(...known.map((s) => s.f0_low))))} – ${noteName(midiOf(Math.max(...known.map((s) => s.f0_high))))}`;
};

export async function voices() {
  const grid = h("ul.cards", {});
  async function reload() {
    const all = await get("/voices");
    replace(grid, all.map((voice) => h("li", {}, h("a.card.link", { href: `#/voices/${voice.id}` },
      h(`span.badge.${voice.state}`, {}, t(`voice.state.${voice.state}`)), h("h3", {}, voice.name),
      h("small", {}, [voice.speakers.length > 1 && t("voice.speakers", { n: voice.speakers.length }), range(voice), voice.steps && t("voice.steps", { n: number(voice.steps) })].filter(Boolean).join(" · ") || t("voice.recordings", { n: voice.recordings }))))),
    all.length ? null : h("li.nothing", {}, t("voices.none")));
  }
  const name = h("input", { required: true, maxLength: 120, autocomplete: "off" });
  const encoder = h("select", {}, (state.health?.encoders ?? []).map((each) => h("option", { value: each, selected: each === (state.settings.encoder ?? "en") }, t(`encoder.${each}`) === `encoder.${each}` ? each : t(`encoder.${each}`))));
  const form = h("form.card", {
    onsubmit: async (event) => {
      event.preventDefault();
      try { location.hash = `#/voices/${(await post("/voices", { name: name.value, encoder: encoder.value })).id}`; }
      catch (error) { toast(error.message, "bad"); }
    },
  }, h("h2", {}, t("voices.new")), h("div.fields", {}, field(t("voice.name"), name), field(t("voice.encoder"), encoder, t("voice.encoder.hint"))), h("button.primary", { type: "submit" }, icon("plus"), t("voices.create")));
  await reload();
  const element = h("div.page", {}, h("h1", {}, t("nav.voices")), h("p.lead", {}, t("voices.lead")), grid, form);
  return { element, title: t("nav.voices"), event: (kind) => kind === "voice" && reload(), reload };
}

export async function voice(id) {
  let now = await get(`/voices/${id}`), recordings = [], report = null, job = null, sending = "";
  const live = []; // [step, loss] as training goes on
  const asked = { preset: state.settings.preset ?? "tiny", steps: null }; // what was typed, over redraws
  const note = h("textarea", { rows: 2, maxLength: 2000, id: "consent", onchange: () => act(() => call("PATCH", `/voices/${id}`, { consent: note.value })) });
  const head = h("header.voice-head", {}), body = h("div.stack", {});
  const progress = h("div.progress-box", { "aria-live": "off" });

  async function reload() {
    now = await get(`/voices/${id}`);
    if (now.made_here) {
      recordings = await get(`/voices/${id}/recordings`);
      report = await get(`/voices/${id}/report`).catch(() => null);
      job = (await get(`/jobs?subject=${id}`)).find((each) => ["queued", "running"].includes(each.state) && each.kind !== "sample") ?? null;
    }
    draw();
  }

  function draw() {
    const active = document.activeElement?.id, caret = document.activeElement?.selectionStart;
    replace(head, h("p.crumb", {}, h("a", { href: "#/voices" }, t("nav.voices"))), h("h1", {}, now.name), h(`span.badge.${now.state}`, {}, t(`voice.state.${now.state}`)),
      now.state === "ready" && h("a.button.primary", { href: "#/" }, t("voice.sing")));
    replace(body, now.made_here ? [recordingsCard(), reportCard(), trainingCard()] : foundCard(), listenCard());
    showProgress();
    const held = active ? document.getElementById(active) : null;
    held?.focus();
    if (held === note) note.setSelectionRange(caret, caret);
  }

  function foundCard() {
    return h("section.card", {}, h("h2", {}, t("voice.found")), h("p", {}, t("voice.found.text")),
      h("dl.facts", {}, now.speakers.flatMap((s) => [h("dt", {}, s.name), h("dd", {}, s.f0_low ? `${noteName(midiOf(s.f0_low))} – ${noteName(midiOf(s.f0_high))} (${number(s.f0_low)}–${number(s.f0_high)} Hz)` : "–")])),
      now.consent && h("blockquote", {}, now.consent), curves());
  }

  function recordingsCard() {
    const used = recordings.filter((r) => !r.left_out);
    return h("section.card", {}, h("h2", {}, h("span.nr", {}, "1"), t("voice.recordings.title")), h("p", {}, t("voice.recordings.text")),
      dropzone(t("voice.drop"), t("voice.drop.hint"), true, send), sending && h("p.sending", { role: "status" }, sending),
      recordings.length > 0 && h("details", { open: recordings.length < 12 }, h("summary", {}, t("voice.recordings.count", { n: used.length, size: bytes(used.reduce((sum, r) => sum + r.bytes, 0)) })), h("ul.rows.compact", {}, recordings.map(recordingRow))),
      consentField(),
      recordings.length > 0 && h("div.actions", {}, h("button", { id: "prepare", type: "button", className: report ? "" : "primary", disabled: !!job || !used.length, onclick: () => act(() => post(`/voices/${id}/prepare`)) }, report ? t("voice.prepare.again") : t("voice.prepare")), h("small", {}, t("voice.prepare.hint"))));
  }

  function recordingRow(recording) {
    const seconds = report?.recordings[recording.file], refused = Object.entries(report?.corpus.unusable ?? {}).find(([name]) => name.includes(recording.id))?.[1];
    const player = h("audio", { preload: "none", src: url(`/voices/${id}/recordings/${recording.id}/audio`) });
    const play = h("button.quiet.round", {
      type: "button", "aria-label": `${t("play")}: ${recording.name}`,
      onclick: () => { if (player.paused) player.play(); else { player.pause(); player.currentTime = 0; } },
    }, icon("play"));
    player.onplay = () => replace(play, icon("stop"));
    player.onpause = player.onended = () => replace(play, icon("play"));
    return h(`li.row${recording.left_out ? ".off" : ""}`, {}, play, player, h("div.row-link", {}, h("span", {}, recording.name), h(`small${refused ? ".bad" : ""}`, {}, refused ?? [seconds && clock(seconds, true), bytes(recording.bytes)].filter(Boolean).join(" · "))),
      h("label.switch", {}, h("input", { type: "checkbox", checked: !recording.left_out, "aria-label": `${t("voice.use")}: ${recording.name}`, onchange: (event) => act(() => call("PATCH", `/voices/${id}/recordings/${recording.id}`, { left_out: !event.target.checked }), false) }), h("span", { "aria-hidden": "true" }, t("voice.use"))));
  }

  function consentField() {
    if (document.activeElement !== note) note.value = now.consent;
    return field(t("voice.consent"), note, t("voice.consent.hint"));
  }

  function reportCard() {
    if (!report) return h("section.card.later", {}, h("h2", {}, h("span.nr", {}, "2"), t("report.title")), h("p", {}, t("report.later")));
    const tile = (value, label, kind = "") => h(`div.tile${kind ? "." + kind : ""}`, {}, h("strong", {}, value), h("span", {}, label));
    const { speakers, copies, unusable, minutes } = report.corpus, found = Object.values(speakers)[0] ?? { notes: {}, warnings: [] }, bad = Object.entries(unusable);
    const enough = minutes >= 10 ? "good" : minutes >= 3 ? "fair" : "poor", named = (text) => recordings.find((r) => text.includes(r.id))?.name ?? text.split("/").at(-1);
    const measured = (value, show, isBad) => [value === null || value === undefined ? "–" : show(value), value !== null && value !== undefined && isBad(value) ? "poor" : ""];
    const [noise, noisy] = measured(found.snr_db, (v) => `${number(v)} dB`, (v) => v < 30), [decay, wet] = measured(found.reverberation_seconds, (v) => `${number(v, 2)} s`, (v) => v > 0.8), [clipped, clips] = measured(found.clipped_share, (v) => `${number(100 * v, 2)} %`, (v) => v > 1e-4);
    return h("section.card", {}, h("h2", {}, h("span.nr", {}, "2"), t("report.title")),
      h("div.tiles", {}, tile(number(minutes, 1), t("report.minutes"), enough), tile(found.f0_low ? `${noteName(midiOf(found.f0_low))} – ${noteName(midiOf(found.f0_high))}` : "–", t("report.range")), tile(noise, t("report.snr"), noisy), tile(decay, t("report.decay"), wet), tile(clipped, t("report.clipped"), clips), tile(number(bad.length), t("report.refused"), bad.length ? "poor" : "")),
      h("p.verdict", {}, t(`report.minutes.${enough}`)),
      h("ul.remarks", {}, warnings(found).map((warning) => h("li", {}, warning)), copies.slice(0, 10).map(([one, other]) => h("li", {}, t("report.copies", { one: named(one), other: named(other) })))),
      notes(found.notes, t("report.notes")),
      bad.length > 0 && h("details", { open: true }, h("summary", {}, t("report.refused.why")), h("ul", {}, bad.map(([name, why]) => h("li", {}, h("strong", {}, named(name)), " ", why)))));
  }

  /** What is bad about the recordings, in the page's language; as `svc inspect --report` says it for a report of an earlier version. */
  function warnings(found) {
    const rare = Object.entries(found.notes).filter(([, seconds]) => seconds < 1).map(([name]) => name);
    const values = { minutes: number(found.minutes, 1), clipped: `${number(100 * (found.clipped_share ?? 0), 2)} %`, snr: number(found.snr_db ?? 0), decay: number(found.reverberation_seconds ?? 0, 1), notes: rare.slice(0, 8).join(", ") + (rare.length > 8 ? " …" : "") };
    return found.faults ? found.faults.map((fault) => t(`fault.${fault}`, values)) : found.warnings;
  }

  function trainingCard() {
    if (!report) return h("section.card.later", {}, h("h2", {}, h("span.nr", {}, "3"), t("train.title")), h("p", {}, t("train.later")));
    const running = job?.kind === "train", presets = state.health?.presets ?? { tiny: 1200 };
    const preset = h("select", { id: "preset", disabled: running }, Object.keys(presets).map((each) => h("option", { value: each, selected: each === asked.preset }, t(`preset.${each}`))));
    const steps = h("input", { id: "steps", type: "number", min: 10, max: 1000000, step: 10, value: asked.steps ?? Math.max(now.steps_wanted || presets[asked.preset], 10), disabled: running, oninput: () => { asked.steps = Number(steps.value); } });
    preset.onchange = () => { asked.preset = preset.value; asked.steps = presets[preset.value]; steps.value = asked.steps; remember("preset", preset.value); };
    const go = () => act(() => post(`/voices/${id}/train`, { preset: preset.value, steps: Number(steps.value) }));
    const finished = now.steps > 0 && now.steps >= now.steps_wanted;
    return h("section.card", {}, h("h2", {}, h("span.nr", {}, "3"), t("train.title")),
      !running && h("div.fields", {}, field(t("train.preset"), preset, t("train.preset.hint")), field(t("train.steps"), steps, finished ? t("train.more.hint") : "")),
      progress, h("div.actions", {}, running
        ? h("button", { id: "stop", type: "button", onclick: () => act(() => post(`/jobs/${job.id}/cancel`)) }, icon("stop"), t("train.stop"))
        : h("button.primary", { id: "train", type: "button", disabled: !!job, onclick: go }, t(finished ? "train.more" : now.steps ? "train.go_on" : "train.start"))),
      verdict(), curves());
  }

  /** Whether more training would help, in the page's language; as the training said it for a voice of an earlier version. */
  function verdict() {
    const { advice } = now, values = advice && { best: number(now.best_step), since: number(advice.since_step), more: number(advice.more_steps) };
    const text = advice ? t(`verdict.${advice.trend}`, values) : now.verdict;
    return text && h("p.verdict", {}, text);
  }

  function curves() {
    const of = (name) => now.validations.filter((v) => name in v.values).map((v) => [v.step, v.values[name]]);
    const heldOut = of("held_out"), scores = of("score");
    const known = live.length > 1 ? live : of("loss");
    return h("div.charts", {},
      known.length + heldOut.length > 1 && lines([{ name: t("train.loss"), points: known, kind: "a" }, { name: t("train.held_out"), points: heldOut, kind: "b" }], t("train.curve")),
      scores.length > 1 && lines([{ name: t("train.score"), points: scores, kind: "c" }, ...[["words", "content"], ["voice", "speaker"], ["in_tune", "pitch"]].map(([label, name], i) => ({ name: t(`train.${label}`), points: of(name), kind: "def"[i] }))], t("train.curve.score"), (y) => percent(y), 1));
  }

  function listenCard() {
    if (!now.examples.length) return null;
    const label = (name) => (name === "recorded.flac" ? t("listen.recorded") : t("listen.step", { n: number(Number(/\d+/.exec(name)[0])) }));
    return h("section.card", {}, h("h2", {}, t("listen.title")), h("p", {}, t("listen.text")),
      h("ul.rows", {}, now.examples.map((name) => h("li.row", {}, h("span.row-link", {}, label(name)), h("audio", { controls: true, preload: "none", src: url(`/voices/${id}/examples/${name}`), "aria-label": label(name) })))));
  }

  function showProgress() {
    if (!job) { replace(progress); return; }
    const p = job.progress, share = p.total ? p.done / p.total : 0;
    const text = [p.stage ? stage(p.stage) : t(`job.${job.kind}`), p.total && `${number(p.done)} / ${number(p.total)} ${unit(p.unit)}`, left(p.seconds_left)].filter(Boolean).join(" · ");
    const bar = h("progress", { max: 1, value: share, "aria-label": t(`job.${job.kind}`) });
    replace(progress, h("p", {}, text), bar, p.note && h("small", {}, p.note));
  }

  async function act(what, whole = true) {
    try { await what(); } catch (error) { toast(error.message, "bad"); }
    if (whole) await reload(); else { recordings = await get(`/voices/${id}/recordings`); draw(); }
  }

  async function send(files) {
    let failed = 0;
    for (const [i, file] of files.entries()) {
      sending = t("voice.sending", { n: i + 1, all: files.length, name: file.name });
      if (i % 5 === 0) draw();
      try { await upload(`/voices/${id}/recordings`, file); }
      catch (error) { failed += 1; toast(t("upload.failed", { name: file.name, why: error.message }), "bad"); }
    }
    sending = "";
    if (!failed) toast(t("voice.sent", { n: files.length }));
    await reload();
  }

  function event(kind, message) {
    if (message.subject !== id) return;
    if (kind === "voice") { reload(); return; }
    if (kind !== "job" || message.data.kind === "sample") return;
    const before = job?.state, next = message.data;
    job = ["queued", "running"].includes(next.state) ? next : null;
    const loss = /loss ([\d.]+)/.exec(next.progress.note);
    if (loss && next.kind === "train" && next.progress.done !== live.at(-1)?.[0]) live.push([next.progress.done, Number(loss[1])]);
    if (next.state === "failed") toast(explain(next.error), "bad");
    if (!job || before !== job.state) reload();
    else {
      showProgress();
      const box = body.querySelector(".charts");
      if (box && next.kind === "train" && Date.now() - (event.drawn ?? 0) > 1000) { event.drawn = Date.now(); box.replaceWith(curves()); }
    }
  }

  await reload();
  return { element: h("div.page", {}, head, body), title: now.name, event, reload };
}
