// The tools of the f0 editor: pointer tools, edits of what is selected, undo, and f0 as a file.

import { call, url } from "../../api.js";
import { field, fileInput, h, icon, redraw, toast } from "../../dom.js";
import { t } from "../../i18n.js";

const SAVE_AFTER = 700; // ms after the last edit
const EDITS = ["up", "down", "octaves", "straighten", "copy", "paste", "mute", "restore"];

export class F0Toolbar {
  constructor(page) {
    this.page = page;
    this.element = h("div.tools-row", { role: "toolbar", "aria-label": t("editor.label") });
    this.timer = 0;
  }

  draw() {
    const { timeline, state: { curve } } = this.page;
    if (!timeline) return;
    const tool = (name) => h("button.quiet", {
      type: "button", dataset: { name }, "aria-pressed": String(timeline.tool === name), title: t(`tool.${name}.hint`),
      onclick: () => { timeline.tool = name; this.draw(); },
    }, icon(name), t(`tool.${name}`));
    const edit = (name) => h("button.quiet", {
      type: "button", dataset: { name }, disabled: !timeline.selection, title: t(`edit.${name}.hint`), onclick: () => timeline.act(name),
    }, t(`edit.${name}`));
    const history = (name, edits) => h("button.quiet.round", {
      type: "button", dataset: { name }, disabled: !edits.length, "aria-label": t(name), title: t(name), onclick: () => timeline.act(name),
    }, icon(name));
    redraw(this.element, () => [
      h("div.segmented", { role: "group", "aria-label": t("tool.label") }, ["select", "draw", "erase"].map(tool)),
      history("undo", curve.past), history("redo", curve.future), h("span.rule", {}), EDITS.map(edit), h("span.gap", {}), this.#fileMenu(),
    ]);
  }

  #fileMenu() {
    const { id, song } = this.page.state;
    const save = (path, ending, label) => h("a.button.quiet", { href: url(`/songs/${id}/${path}`), download: song.name + ending }, icon("save"), t(label));
    const input = fileInput(t("f0.load"), ".csv,text/csv,.mid,.midi,audio/midi", ([file]) => this.#load(file));
    return h("details.menu", {}, h("summary", {}, t("f0.file")), h("div", {},
      save("f0", ".f0.csv", "f0.save"), save("midi", ".mid", "f0.midi"), h("label.button.quiet", {}, input, icon("upload"), t("f0.load")),
      song.f0_edited && h("button.quiet", { type: "button", onclick: () => this.#reset() }, icon("again"), t("f0.reset")),
      h("small", {}, t("f0.hint"))));
  }

  /** Save soon, once there was no further edit for a while. */
  edited() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#save(), SAVE_AFTER);
    this.draw();
  }

  async #save() {
    const { state } = this.page;
    this.timer = 0;
    try { state.song = await call("PUT", `/songs/${state.id}/f0`, state.curve.csv()); toast(t("f0.saved")); this.page.draw(); }
    catch (error) { toast(error.message, "bad"); }
  }

  async #load(file, melody = "") {
    try { await call("PUT", `/songs/${this.page.state.id}/f0${melody}`, await file.arrayBuffer()); await this.page.reopen(); }
    catch (error) { if (error.code === "several_melodies") this.#chooseMelody(file, error.detail); else toast(error.message, "bad"); }
  }

  /** A dialog that lists the melodies of a MIDI file. */
  #chooseMelody(file, melodies) {
    const which = h("select", { id: "melody" }, melodies.map((each, i) => h("option", { value: i }, t("f0.melody", { ...each, n: each.notes }))));
    const go = () => {
      const { track, channel } = melodies[Number(which.value)];
      dialog.close();
      this.#load(file, `?track=${track}&channel=${channel}`);
    };
    const dialog = h("dialog.card", { "aria-label": t("f0.load"), onclose: () => dialog.remove() },
      field(t("f0.melodies", { name: file.name }), which),
      h("div.actions", {}, h("button.primary", { type: "button", id: "melody-go", onclick: go }, t("f0.melody.go")),
        h("button.quiet", { type: "button", onclick: () => dialog.close() }, t("cancel"))));
    this.page.element.append(dialog);
    dialog.showModal();
  }

  async #reset() {
    await call("DELETE", `/songs/${this.page.state.id}/f0`);
    await this.page.reopen();
  }

  /** Save what was edited and not saved yet. */
  close() {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.#save();
  }
}
