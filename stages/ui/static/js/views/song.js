// A song: its picture, the voice that sings it, phrases with their takes, f0, parts, export.

import { call, get, post, upload, url } from "../api.js";
import { AUDIO_FILES, clock, field, fileInput, h, icon, midiOf, noteName, replace, toast } from "../dom.js";
import { Curve, parse } from "../editor.js";
import { explain, left, number, percent, stage as stageName, t } from "../i18n.js";
import { remember, state } from "../settings.js";
import { Player } from "../player.js";
import { Timeline } from "../timeline.js";
import { mixCard } from "./mix.js";
import { mixes } from "./mixes.js";

const REACH = 2; // semitones beyond the range heard in training that a voice is believed to have
const DEFAULTS = { key: 0, formants: 0, retrieve: null, loudness: 0, breaths: "sing", smooth_ms: 0, fix_octaves: false, seed: 0, speaker: null };

export async function song(id) {
  let now = await get(`/songs/${id}`);
  const top = now.parent ?? id;
  let parts = await get(`/songs/${top}/parts`), voices = [], takes = [], picks = {}, jobs = new Map(), chosen = 0;
  let curve = null, timeline = null, player = null, saving = 0, variation = false;
  const wanted = { ...DEFAULTS, voice: null, ...(state.settings[`song.${id}`] ?? state.settings.last_take ?? {}) };
  const head = h("header.song-head", {}), stage = h("div.stage", {}), side = h("aside.side", { "aria-label": t("song.voice") }), lanes = h("section.lanes", {}), status = h("div.status", {}), mix = h("div.mix-place", {});
  const element = h("div.page.wide", {}, head, status, h("div.song-grid", {}, stage, side, mix, lanes));

  const mixed = mixes(top);

  const voice = () => voices.find((v) => v.id === wanted.voice);
  const of = (index) => takes.filter((take) => take.phrase === index).sort((a, b) => b.scores.overall - a.scores.overall);
  const picked = (index) => takes.find((take) => take.id === picks[index]);
  const stale = (take) => take.created < (now.f0_times?.[take.phrase] ?? 0);

  async function reload() {
    [now, parts, voices, takes, picks] = await Promise.all([get(`/songs/${id}`), get(`/songs/${top}/parts`), get("/voices"), get(`/songs/${id}/takes`), get(`/songs/${id}/picks`)]);
    voices = voices.filter((v) => v.state === "ready" || (v.state === "training" && v.examples.length));
    if (!voice() && voices.length) wanted.voice = voices[0].id;
    if (now.state === "ready" && !timeline) await open();
    draw();
  }

  async function open() {
    const read = async (query) => parse(await (await fetch(url(`/songs/${id}/f0${query}`))).text());
    const [hz, original] = await Promise.all([read(""), read("?original=true")]);
    curve = new Curve(hz, original);
    player = new Player(now, (seconds) => { timeline.move(seconds, player.playing); showTime(); if (!player.playing) drawTransport(); });
    timeline = new Timeline(now, curve, { seek, select: drawTools, phrase: choose, edited }, t);
    timeline.canvas.addEventListener("keydown", keys);
  }

  // Everything on the page.

  function draw() {
    drawHead();
    drawStatus();
    if (!timeline) { replace(stage, h("div.card.waiting", {}, now.state === "failed" ? [h("h2", {}, t("song.failed")), h("p", {}, now.error && explain(now.error))] : [h("div.pulse", {}), h("p", {}, t("song.looking"))])); return; }
    timeline.song = now;
    colourLanes();
    setComp();
    if (!stage.contains(timeline.element)) { replace(stage, transport, timeline.element, tools); timeline.resize(); }
    drawTransport();
    drawTools();
    drawSide();
    drawMix();
    drawLanes();
    timeline.key = shownKey();
    timeline.range = reach();
    timeline.phrase = chosen;
    timeline.tell();
    timeline.draw();
  }

  function drawHead() {
    if (head.querySelector("details[open]") && head.querySelector("#export")?.disabled === (!takes.length && parts.length < 2)) return;
    const tabs = parts.map((part, i) => h("a", { href: `#/songs/${part.id}`, "aria-current": part.id === id && "page" }, i ? part.name : t("part.lead"), part.role === "keep" && h("small", {}, t("part.kept"))));
    const input = fileInput(t("part.add.file"), AUDIO_FILES, ([file]) => addPart(upload(`/songs/${top}/parts`, file)));
    const add = h("details.menu.below.add-part", {}, h("summary", { id: "add-part", title: t("part.hint") }, icon("plus"), t("part.add")), h("div", {}, h("small", {}, t("part.hint")),
      h("label.button.quiet", {}, input, icon("upload"), t("part.add.file")), h("button.quiet", { type: "button", id: "add-same", disabled: parts[0]?.state !== "ready", onclick: () => addPart(post(`/songs/${top}/parts/copy`, { name: t("part.same.name", { n: parts.length + 1 }) })) }, icon("plus"), t("part.add.same"))));
    replace(head, h("div.head-line", {}, h("p.crumb", {}, h("a", { href: "#/" }, t("nav.songs"))), h("h1", {}, parts[0]?.name ?? now.name), now.state === "ready" && h("small.dim", {}, `${clock(now.seconds)} · ${t("song.phrases", { n: now.phrases.length })}`), h("span.gap", {}), now.state === "ready" && exportMenu()),
      h("nav.tabs", { "aria-label": t("part.label") }, tabs, add));
  }

  async function addPart(made) {
    try { location.hash = `#/songs/${(await made).id}`; } catch (error) { toast(error.message, "bad"); }
  }

  function drawStatus() {
    const active = [...jobs.values()].filter((job) => ["queued", "running"].includes(job.state));
    replace(status, active.map((job) => {
      const p = job.progress, text = job.state === "queued" ? t("job.waiting") : [p.stage && stageName(p.stage), p.total && `${percent(p.done / p.total)}`, left(p.seconds_left)].filter(Boolean).join(" · ");
      return h("div.job", {}, h("strong", {}, t(`job.${job.kind}`)), h("span", {}, text), h("progress", { max: 1, value: p.total ? p.done / p.total : 0, "aria-label": t(`job.${job.kind}`) }),
        h("button.quiet", { type: "button", onclick: () => post(`/jobs/${job.id}/cancel`).catch((error) => toast(error.message, "bad")) }, t("cancel")));
    }));
  }

  // Playing.

  const transport = h("div.transport", { role: "group", "aria-label": t("play") });
  const timeLabel = h("output.time", {});

  function showTime() { timeLabel.textContent = `${clock(player.now, true)} / ${clock(now.seconds)}`; }

  function drawTransport() {
    const held = transport.contains(document.activeElement) ? document.activeElement.dataset.name : null;
    const sides = h("div.segmented", { role: "group", "aria-label": t("ab.label") }, ["source", "converted"].map((which) => h("button", { type: "button", dataset: { name: which }, "aria-pressed": String(player.side === which), onclick: () => hear(which) }, t(`ab.${which}`))));
    const zoomed = (name, factor) => h("button.quiet.round", { type: "button", dataset: { name }, "aria-label": t(name), title: t(name), onclick: () => timeline.zoom(factor) }, icon(name));
    replace(transport, h("button.round.primary", { type: "button", dataset: { name: "play" }, "aria-label": t(player.playing ? "pause" : "play"), onclick: toggle }, icon(player.playing ? "pause" : "play")), timeLabel, sides, h("small.dim.wide-only", {}, t("ab.hint")), h("span.gap", {}), zoomed("zoomout", 1 / 1.5), zoomed("zoomin", 1.5));
    showTime();
    if (held) transport.querySelector(`[data-name="${held}"]`)?.focus();
  }

  async function toggle() {
    try { if (player.playing) { player.stop(); } else await player.play(timeline.selection ? { from: timeline.selection[0] / (44100 / 512), until: timeline.selection[1] / (44100 / 512) } : { from: player.position >= now.seconds - 0.05 ? 0 : player.position }); }
    catch (error) { toast(error.message, "bad"); }
    drawTransport();
  }

  function hear(which) { player.hear(which); drawTransport(); }

  function seek(seconds) {
    const playing = player.playing;
    player.stop();
    player.position = seconds;
    timeline.move(seconds);
    showTime();
    if (playing) player.play().then(drawTransport);
  }

  function setComp() {
    const joined = new Set(now.phrases.filter((p) => p.joined).map((p) => p.index - 1));
    const comp = now.phrases.map((phrase) => ({ phrase, take: picked(phrase.index), followed: joined.has(phrase.index) })).filter((each) => each.take);
    const changed = comp.length !== player.comp.length || comp.some((each, i) => each.take.id !== player.comp[i].take.id);
    const grown = comp.filter((each) => !player.comp.some((old) => old.phrase.index === each.phrase.index));
    const replaced = changed && comp.length - grown.length === player.comp.length && comp.some((each) => player.comp.some((old) => old.phrase.index === each.phrase.index && old.take.id !== each.take.id));
    player.comp = comp;
    if (!changed || !player.playing || player.only) return;
    if (replaced) player.play({ from: player.now });
    else grown.forEach((each) => player.add(each));
  }

  async function playTake(phrase, take) {
    const was = player.playing && player.only?.take.id === take.id;
    if (was) player.stop(); else { player.hear("converted"); await player.play({ from: phrase.start, until: phrase.end, only: { phrase: { ...phrase, joined: false }, take, followed: false } }).catch((error) => toast(error.message, "bad")); }
    drawTransport();
  }

  // Editing f0.

  const tools = h("div.tools-row", { role: "toolbar", "aria-label": t("editor.label") });

  function drawTools() {
    if (!timeline) return;
    const held = tools.contains(document.activeElement) ? document.activeElement.dataset.name : null;
    const tool = (name) => h("button.quiet", { type: "button", dataset: { name }, "aria-pressed": String(timeline.tool === name), title: t(`tool.${name}.hint`), onclick: () => { timeline.tool = name; drawTools(); } }, icon(name), t(`tool.${name}`));
    const act = (name, needs = true) => h("button.quiet", { type: "button", dataset: { name }, disabled: needs && !timeline.selection, title: t(`edit.${name}.hint`), onclick: () => timeline.act(name) }, t(`edit.${name}`));
    const history = (name, list) => h("button.quiet.round", { type: "button", dataset: { name }, disabled: !list.length, "aria-label": t(name), title: t(name), onclick: () => timeline.act(name) }, icon(name));
    const f0 = fileInput(t("f0.load"), ".csv,text/csv,.mid,.midi,audio/midi", ([file]) => loadF0(file));
    replace(tools, h("div.segmented", { role: "group", "aria-label": t("tool.label") }, ["select", "draw", "erase"].map(tool)), history("undo", curve.past), history("redo", curve.future), h("span.rule", {}),
      act("up"), act("down"), act("octaves"), act("straighten"), act("copy"), act("paste"), act("mute"), act("restore"), h("span.gap", {}),
      h("details.menu", {}, h("summary", {}, t("f0.file")), h("div", {}, h("a.button.quiet", { href: url(`/songs/${id}/f0`), download: `${now.name}.f0.csv` }, icon("save"), t("f0.save")), h("a.button.quiet", { href: url(`/songs/${id}/midi`), download: `${now.name}.mid` }, icon("save"), t("f0.midi")), h("label.button.quiet", {}, f0, icon("upload"), t("f0.load")), now.f0_edited && h("button.quiet", { type: "button", onclick: resetF0 }, icon("again"), t("f0.reset")), h("small", {}, t("f0.hint")))));
    if (held) tools.querySelector(`[data-name="${held}"]`)?.focus();
  }

  function edited() {
    clearTimeout(saving);
    saving = setTimeout(saveF0, 700);
    drawTools();
  }

  async function saveF0() {
    saving = 0;
    try { now = await call("PUT", `/songs/${id}/f0`, curve.csv()); toast(t("f0.saved")); draw(); } catch (error) { toast(error.message, "bad"); }
  }

  async function loadF0(file, choice = "") {
    try { await call("PUT", `/songs/${id}/f0${choice}`, await file.arrayBuffer()); timeline.close(); timeline = null; player.close(); await reload(); }
    catch (error) { if (error.code === "several_melodies") chooseMelody(file, error.detail); else toast(error.message, "bad"); }
  }

  /** A dialog that lists the melodies of a MIDI file. */
  function chooseMelody(file, melodies) {
    const which = h("select", { id: "melody" }, melodies.map((each, i) => h("option", { value: i }, t("f0.melody", { ...each, n: each.notes }))));
    const dialog = h("dialog.card", { "aria-label": t("f0.load"), onclose: () => dialog.remove() }, field(t("f0.melodies", { name: file.name }), which), h("div.actions", {},
      h("button.primary", { type: "button", id: "melody-go", onclick: () => { const { track, channel } = melodies[Number(which.value)]; dialog.close(); loadF0(file, `?track=${track}&channel=${channel}`); } }, t("f0.melody.go")), h("button.quiet", { type: "button", onclick: () => dialog.close() }, t("cancel"))));
    element.append(dialog);
    dialog.showModal();
  }

  async function resetF0() { await call("DELETE", `/songs/${id}/f0`); timeline.close(); timeline = null; player.close(); await reload(); }

  function keys(event) {
    const command = event.ctrlKey || event.metaKey, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const rate = 44100 / 512, step = event.altKey ? 0.1 : 0.5;
    const doing = {
      " ": toggle, b: () => hear(player.side === "source" ? "converted" : "source"), "+": () => timeline.zoom(1.5), "=": () => timeline.zoom(1.5), "-": () => timeline.zoom(1 / 1.5),
      "[": () => choose(Math.max(0, chosen - 1), true), "]": () => choose(Math.min(now.phrases.length - 1, chosen + 1), true),
      ArrowUp: () => timeline.act(event.altKey ? "up_fine" : event.shiftKey ? "octave_up" : "up"), ArrowDown: () => timeline.act(event.altKey ? "down_fine" : event.shiftKey ? "octave_down" : "down"),
      o: () => timeline.act("octaves"), s: () => timeline.act("straighten"), r: () => timeline.act("restore"), Delete: () => timeline.act("mute"), Backspace: () => timeline.act("mute"),
      n: () => nextNote(event.shiftKey ? -1 : 1), Escape: () => timeline.select(null), Home: () => seek(0), End: () => seek(now.seconds),
      ...Object.fromEntries(["ArrowLeft", "ArrowRight"].map((name) => [name, () => {
        const by = name === "ArrowLeft" ? -step : step;
        if (!event.shiftKey) { seek(Math.max(0, timeline.cursor + by)); timeline.show(timeline.cursor); return; }
        const [from, to] = timeline.selection ?? [Math.round(timeline.cursor * rate), Math.round(timeline.cursor * rate)];
        timeline.select([from, Math.max(from + 1, to + Math.round(by * rate))]);
      }])),
    };
    const commands = { z: () => timeline.act(event.shiftKey ? "redo" : "undo"), y: () => timeline.act("redo"), c: () => timeline.act("copy"), v: () => timeline.act("paste") };
    const found = (command ? commands : doing)[key];
    if (!found) return;
    event.preventDefault();
    found();
  }

  function nextNote(direction) {
    const rate = 44100 / 512;
    let frame = timeline.selection ? (direction > 0 ? timeline.selection[1] : timeline.selection[0] - 1) : Math.round(timeline.cursor * rate);
    while (frame >= 0 && frame < curve.hz.length && !(curve.hz[frame] > 0)) frame += direction;
    const note = curve.noteAt(frame);
    if (note) { timeline.select(note); timeline.cursor = note[0] / rate; timeline.show(note[0] / rate); }
  }

  // Whose voice, and how.

  function reach() {
    const who = voice()?.speakers.filter((s) => s.f0_low) ?? [];
    if (!who.length) return null;
    const shares = speakerShares(), known = who.filter((s) => (shares[s.name] ?? 0) > 0), sum = known.reduce((a, s) => a + shares[s.name], 0);
    if (!known.length) return [who[0].f0_low, who[0].f0_high];
    const mean = (name) => 2 ** (known.reduce((a, s) => a + shares[s.name] * Math.log2(s[name]), 0) / sum);
    return [mean("f0_low"), mean("f0_high")];
  }

  function speakerShares() {
    const names = voice()?.speakers.map((s) => s.name) ?? [], text = wanted.speaker;
    if (!text) return { [names[0]]: 1 };
    if (names.includes(text)) return { [text]: 1 };
    return Object.fromEntries(text.split(",").map((part) => { const at = part.lastIndexOf(":"); return [part.slice(0, at).trim(), Number(part.slice(at + 1))]; }).filter(([name]) => names.includes(name)));
  }

  const shownKey = () => (wanted.key === "auto" ? takes.at(-1)?.key ?? 0 : Number(wanted.key));

  /** The share of the song's notes that the voice reaches in a key. */
  function within(key) {
    const range = reach();
    if (!range || !curve) return null;
    const [low, high] = [midiOf(range[0]) - REACH, midiOf(range[1]) + REACH], notes = Array.from(curve.hz).filter((hz) => hz > 0).map((hz) => midiOf(hz) + key);
    return notes.length ? notes.filter((note) => note >= low && note <= high).length / notes.length : null;
  }

  function set(name, value, redraw = true) {
    wanted[name] = value;
    remember(`song.${id}`, wanted);
    remember("last_take", { ...DEFAULTS, voice: wanted.voice, speaker: wanted.speaker, formants: wanted.formants, retrieve: wanted.retrieve });
    timeline.key = shownKey();
    timeline.range = reach();
    timeline.draw();
    if (redraw) drawSide();
    drawMix();
  }

  function slider(label, name, min, max, step, show, hint) {
    const value = wanted[name] ?? { retrieve: 0.5 }[name] ?? 0, out = h("output", {}, show(value));
    const input = h("input", { type: "range", min, max, step, value, id: `s-${name}`, oninput: () => { out.textContent = show(Number(input.value)); }, onchange: () => set(name, Number(input.value), false) });
    return h("div.slider", {}, field(label, input, hint), out);
  }

  function drawSide() {
    const held = side.contains(document.activeElement) ? document.activeElement.id : null, opened = side.querySelector("details")?.open;
    if (now.role === "keep") { replace(side, h("section.card", {}, h("h2", {}, t("part.kept")), h("p", {}, t("part.kept.text")))); return; }
    if (!voices.length) { replace(side, h("section.card", {}, h("h2", {}, t("song.voice")), h("p", {}, t("song.no_voice")), h("a.button.primary", { href: "#/voices" }, t("home.step1.go")))); return; }
    const choose = h("select", { id: "voice", onchange: () => { wanted.speaker = null; set("voice", choose.value); } }, voices.map((v) => h("option", { value: v.id, selected: v.id === wanted.voice }, v.name)));
    const speakers = voice()?.speakers ?? [], busy = [...jobs.values()].some((job) => job.kind === "convert" && ["queued", "running"].includes(job.state));
    const missing = now.phrases.filter((p) => !of(p.index).length).length;
    replace(side, h("section.card", {}, h("h2", {}, t("song.voice")), field(t("song.voice.choose"), choose), voice()?.consent && h("blockquote.consent", {}, h("small", {}, t("voice.consent.shown")), voice().consent), speakers.length > 1 && mixture(speakers), keyField(),
      h("details", { open: opened }, h("summary", {}, t("song.more")),
        slider(t("set.formants"), "formants", -6, 6, 0.5, (v) => `${v > 0 ? "+" : ""}${number(v, 1)}`, t("set.formants.hint")), slider(t("set.retrieve"), "retrieve", 0, 1, 0.05, percent, t("set.retrieve.hint")), slider(t("set.loudness"), "loudness", 0, 1, 0.05, percent, t("set.loudness.hint")), breathsField(), slider(t("set.smooth"), "smooth_ms", 0, 300, 10, (v) => `${v} ms`, t("set.smooth.hint")), slider(t("set.seed"), "seed", 0, 99, 1, String, t("set.seed.hint"))),
      h("button.primary.big", { type: "button", id: "convert", disabled: busy, onclick: () => convert(null, 1) }, missing && missing < now.phrases.length ? t("song.convert.rest") : t("song.convert"))));
    if (held) document.getElementById(held)?.focus();
  }

  function keyField() {
    const auto = wanted.key === "auto", key = shownKey(), share = within(auto ? key : Number(wanted.key)), sign = (v) => `${v > 0 ? "+" : v < 0 ? "−" : ""}${number(Math.abs(v), Number.isInteger(v) ? 0 : 1)}`;
    const out = h("output", {}, auto ? t("key.auto") : sign(key)), said = h("small.reach", { "aria-live": "polite" }, share === null ? "" : t("key.reach", { share: percent(share) }));
    const input = h("input", { type: "range", min: -24, max: 24, step: 1, value: key, id: "key", disabled: auto, oninput: () => { const value = Number(input.value); out.textContent = sign(value); timeline.key = value; timeline.draw(); said.textContent = within(value) === null ? "" : t("key.reach", { share: percent(within(value)) }); }, onchange: () => set("key", Number(input.value)) });
    const jump = (by) => h("button.quiet", { type: "button", id: `key${by}`, disabled: auto, onclick: () => set("key", Math.max(-24, Math.min(24, key + by))) }, sign(by));
    return h("div.slider.key-field", {}, field(t("key.label"), input), out, said, h("div.actions.tight", {}, [-12, -1, 1, 12].map(jump), h("label.check", {}, h("input", { type: "checkbox", id: "auto", checked: auto, onchange: (event) => set("key", event.target.checked ? "auto" : 0) }), t("key.auto"))), h("button.quiet", { type: "button", onclick: tryKey }, icon("play"), t("key.try")));
  }

  function mixture(speakers) {
    const shares = speakerShares();
    const inputs = speakers.map((s) => {
      const out = h("output", {}, percent(shares[s.name] ?? 0));
      const input = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: shares[s.name] ?? 0, id: `mix-${s.name}`, oninput: () => { out.textContent = percent(Number(input.value)); }, onchange: change });
      return { s, input, row: h("div.slider", {}, field(s.name, input), out) };
    });
    function change() {
      const parts = inputs.map(({ s, input }) => [s.name, Number(input.value)]).filter(([, share]) => share > 0);
      if (!parts.length) return;
      const sum = parts.reduce((a, [, share]) => a + share, 0);
      set("speaker", parts.length === 1 ? parts[0][0] : parts.map(([name, share]) => `${name}:${(share / sum).toFixed(3)}`).join(","));
    }
    return h("fieldset", {}, h("legend", {}, t("song.mixture")), inputs.map((each) => each.row));
  }

  function breathsField() {
    const choices = [["sing", "sing"], ["keep", "keep"], ["half", 0.5], ["none", 0]];
    const input = h("select", { id: "breaths", onchange: () => set("breaths", choices.find(([name]) => name === input.value)[1], false) }, choices.map(([name, value]) => h("option", { value: name, selected: wanted.breaths === value }, t(`breaths.${name}`))));
    return field(t("set.breaths"), input, t("set.breaths.hint"));
  }

  function drawMix() {
    if (parts.length < 2) { replace(mix); return; }
    mixed.show(parts);
    const held = mix.contains(document.activeElement) ? document.activeElement.id : null;
    const rendering = [...jobs.values()].some((job) => job.kind === "render" && ["queued", "running"].includes(job.state));
    replace(mix, mixCard(parts, id, voices, DEFAULTS, rendering, (changed) => { parts = parts.map((part) => (part.id === changed.id ? changed : part)); if (changed.id === id) now = changed; draw(); }, mixed.element));
    if (held) document.getElementById(held)?.focus();
  }

  function exportMenu() {
    const what = h("select", { id: "what" }, ["whole", "stems", "takes"].map((each) => h("option", { value: each }, t(`export.${each}`)))), format = h("select", { id: "format" }, ["wav", "flac", "mp3", "ogg"].map((each) => h("option", { value: each, selected: each === state.settings.format }, each.toUpperCase())));
    format.onchange = () => remember("format", format.value);
    return h("details.menu.below", {}, h("summary.button", {}, icon("save"), t("export.title")), h("div", {}, field(t("export.what"), what), field(t("export.format"), format), h("button.primary", { type: "button", id: "export", disabled: !takes.length && parts.length < 2, onclick: async () => {
      try { await post(`/songs/${top}/export`, { what: what.value, format: format.value }); toast(t("export.began")); } catch (error) { toast(error.message, "bad"); }
    } }, t("export.go")), h("small", {}, t("export.hint"))));
  }

  function settings(more = {}) {
    const { voice: who, key, formants, retrieve, loudness, breaths, smooth_ms, fix_octaves, seed, speaker } = { ...wanted, ...more };
    return { voice: who, speaker, key, formants, retrieve, loudness, breaths, smooth_ms, fix_octaves, seed };
  }

  async function convert(phrases, count, more = {}) {
    try { await post(`/songs/${id}/convert`, { settings: settings(more), phrases, takes: count }); } catch (error) { toast(error.message, "bad"); }
  }

  const tryKey = () => convert([chosen], 1);

  // Phrases and their takes.

  function colourLanes() {
    const style = getComputedStyle(document.documentElement);
    timeline.lanes = new Map(now.phrases.map((p) => [p.index, style.getPropertyValue(picked(p.index) ? "--accent" : "--line").trim()]));
  }

  function choose(index, show = false) {
    chosen = index;
    timeline.phrase = index;
    if (show) { timeline.cursor = player.position = now.phrases[index].start; timeline.show(now.phrases[index].start); showTime(); }
    timeline.draw();
    drawLanes();
    const row = lanes.querySelector(".lane.open");
    if (row && !show) row.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  function drawLanes() {
    if (now.role === "keep") { replace(lanes); return; }
    const held = lanes.contains(document.activeElement) ? document.activeElement.id : null;
    replace(lanes, h("div.lanes-head", {}, h("h2", {}, t("lanes.title")), h("small.dim", {}, t("lanes.hint"))), h("ol.lane-list", {}, now.phrases.map(lane)));
    if (held) document.getElementById(held)?.focus();
  }

  function lane(phrase) {
    const mine = of(phrase.index), take = picked(phrase.index), openNow = phrase.index === chosen;
    const state_ = !mine.length ? t("lane.empty") : !take ? t("lane.silent") : t("lane.takes", { n: mine.length });
    const headButton = h("button.lane-head", { type: "button", id: `lane-${phrase.index}`, "aria-expanded": String(openNow), onclick: () => choose(openNow ? -1 : phrase.index, !openNow) }, h("span.lane-nr", {}, String(phrase.index + 1)), h("span.lane-time", {}, `${clock(phrase.start, true)} – ${clock(phrase.end, true)}`), h("span.lane-state", {}, state_), take && bars(take.scores), take && stale(take) && h("span.badge.fair", {}, t("lane.stale")));
    return h(`li.lane${openNow ? ".open" : ""}`, {}, headButton, openNow && h("div.lane-body", {}, mine.length ? h("table.takes", {}, h("thead", {}, h("tr", {}, ["", t("take.take"), t("take.score"), t("take.settings"), ""].map((text) => h("th", { scope: "col" }, text || h("span.sr", {}, t("take.actions")))))), h("tbody", {}, mine.map((each, i) => takeRow(phrase, each, i, take)))) : h("p.nothing", {}, t("lane.none")), retakes(phrase, take)));
  }

  function bars(scores) {
    return h("span.score", { title: [["in_tune", scores.in_tune], ["phones", scores.phones], ["loudness", scores.loudness]].filter(([, v]) => v !== null).map(([name, v]) => `${t(`score.${name}`)} ${percent(v)}`).join(", ") }, h("span.score-bar", { "aria-hidden": "true" }, h("span", { style: { width: `${Math.round(100 * scores.overall)}%` } })), percent(scores.overall));
  }

  function breathsTold(breaths) {
    if (breaths === undefined || breaths === "sing") return "";
    return `${t("set.breaths")}: ${breaths === "keep" ? t("breaths.keep.short") : percent(breaths)}`;
  }

  function takeRow(phrase, take, place, chosenTake) {
    const s = take.settings, is = chosenTake?.id === take.id, who = voices.find((v) => v.id === s.voice)?.name ?? "";
    const told = [who, s.speaker, `${t("key.label")} ${take.key > 0 ? "+" : ""}${number(take.key)}`, s.formants && `${t("set.formants")} ${number(s.formants, 1)}`, s.retrieve !== null && `${t("set.retrieve")} ${percent(s.retrieve)}`, breathsTold(s.breaths), `${t("set.seed")} ${s.seed}`].filter(Boolean).join(" · ");
    return h("tr", { className: is ? "picked" : "" }, h("td", {}, h("button.quiet.round", { type: "button", id: `p-${take.id}`, "aria-label": t("take.play", { n: place + 1 }), onclick: () => playTake(phrase, take) }, icon("play"))),
      h("td", {}, h("button", { type: "button", id: `k-${take.id}`, className: is ? "pick on" : "pick", "aria-pressed": String(is), onclick: () => pick(phrase.index, is ? null : take.id) }, is && icon("check"), t(is ? "take.picked" : "take.pick")), stale(take) && h("small.bad", {}, t("lane.stale"))),
      h("td", {}, bars(take.scores), h("small.dim", {}, [["in_tune", take.scores.in_tune], ["phones", take.scores.phones]].filter(([, v]) => v !== null).map(([name, v]) => `${t(`score.${name}`)} ${percent(v)}`).join(" · "))),
      h("td.settings", {}, told), h("td", {}, h("button.quiet.round", { type: "button", "aria-label": t("take.delete", { n: place + 1 }), onclick: async () => { await call("DELETE", `/songs/${id}/takes/${take.id}`); await reload(); } }, icon("trash"))));
  }

  function retakes(phrase, take) {
    const last = Math.max(-1, ...of(phrase.index).map((each) => each.settings.seed)), again = (more, count = 1) => () => convert([phrase.index], count, more);
    return h("div.actions", {}, h("button", { type: "button", id: `r-${phrase.index}`, onclick: again({ seed: last + 1 }) }, icon("again"), t("retake")), h("button", { type: "button", id: `r3-${phrase.index}`, onclick: again({ seed: last + 1 }, 3) }, t("retake.three")),
      take && h("button.quiet", { type: "button", onclick: () => hear(player.side === "source" ? "converted" : "source") }, t("ab.swap")),
      h("details.menu", { open: variation, ontoggle: (event) => { variation = event.target.open; } }, h("summary", { id: `other-${phrase.index}` }, t("retake.other")), h("div.two", {}, changes().map(([label, more]) => h("button.quiet", { type: "button", onclick: again(more) }, label)))));
  }

  /** Changes that a phrase is often sung again with: [label, settings]. */
  function changes() {
    const key = shownKey(), others = voices.filter((v) => v.id !== wanted.voice).slice(0, 4);
    const named = [["octave_up", { key: Math.min(24, key + 12) }], ["octave_down", { key: Math.max(-24, key - 12) }], ["formants_up", { formants: Math.min(6, wanted.formants + 1) }], ["formants_down", { formants: Math.max(-6, wanted.formants - 1) }], ["retrieve_more", { retrieve: 1 }], ["retrieve_none", { retrieve: 0 }], ["breaths_keep", { breaths: "keep" }], ["breaths_none", { breaths: 0 }], ["loudness", { loudness: 1 }], ["octaves", { fix_octaves: true }]];
    return [...named.map(([name, more]) => [t(`retake.${name}`), more]), ...others.map((v) => [t("retake.voice", { name: v.name }), { voice: v.id, speaker: null }])];
  }

  async function pick(index, take) {
    try { picks = await call("PUT", `/songs/${id}/picks`, { picks: { [index]: take } }); setComp(); colourLanes(); timeline.draw(); drawLanes(); } catch (error) { toast(error.message, "bad"); }
  }

  // News.

  function event(kind, message) {
    if (kind === "result" && message.subject === top && message.data.label) { mixed.reload(); toast(t("export.done", { name: message.data.label })); return; }
    if (message.subject !== id && message.subject !== top) return;
    if (kind === "take" && message.subject === id) {
      if (!takes.some((take) => take.id === message.data.id)) takes.push(message.data);
      get(`/songs/${id}/picks`).then((found) => { picks = found; if (timeline) { setComp(); colourLanes(); timeline.draw(); drawLanes(); drawSide(); } });
    } else if (kind === "job") {
      const job = message.data, ended = !["queued", "running"].includes(job.state), before = jobs.get(job.id)?.state;
      jobs.set(job.id, job);
      if (job.state === "failed" && before !== "failed") toast(explain(job.error), "bad");
      drawStatus();
      if (ended || before !== job.state) { if (timeline) { drawSide(); drawMix(); } if (ended) reload(); }
    } else if (kind === "song" && message.subject === id && (!timeline || message.data.deleted)) {
      if (message.data.deleted) location.hash = "#/"; else reload();
    }
  }

  for (const job of await get(`/jobs?subject=${id}`)) jobs.set(job.id, job);
  await Promise.all([reload(), mixed.reload()]);
  return { element, title: now.name, event, reload, ready: () => timeline?.resize(), close: () => { if (saving) { clearTimeout(saving); saveF0(); } timeline?.close(); player?.close(); mixed.close(); } };
}
