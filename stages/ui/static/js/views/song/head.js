// The head of a song's page: its name, its parts, what can be exported, and the jobs that run.

import { post, upload } from "../../api.js";
import { AUDIO_FILES, clock, field, fileInput, h, icon, replace, toast } from "../../dom.js";
import { left, percent, stage, t } from "../../i18n.js";
import { remember, state } from "../../settings.js";

export class Head {
  constructor(page) {
    this.page = page;
    this.element = h("header.song-head", {});
  }

  /** Whether there is something to export. */
  get exportable() { return this.page.state.takes.length > 0 || this.page.state.parts.length > 1; }

  draw() {
    const { song, parts } = this.page.state;
    const menu = this.element.querySelector("details[open]");
    if (menu && this.element.querySelector("#export")?.disabled === !this.exportable) return; // it stays open
    const ready = song.state === "ready";
    replace(this.element,
      h("div.head-line", {},
        h("p.crumb", {}, h("a", { href: "#/" }, t("nav.songs"))), h("h1", {}, parts[0]?.name ?? song.name),
        ready && h("small.dim", {}, `${clock(song.seconds)} · ${t("song.phrases", { n: song.phrases.length })}`),
        h("span.gap", {}), ready && this.#exportMenu()),
      h("nav.tabs", { "aria-label": t("part.label") }, parts.map((part, i) => this.#tab(part, i)), this.#addMenu()));
  }

  #tab(part, i) {
    const here = part.id === this.page.state.id && "page";
    return h("a", { href: `#/songs/${part.id}`, "aria-current": here },
      i ? part.name : t("part.lead"), part.role === "keep" && h("small", {}, t("part.kept")));
  }

  #addMenu() {
    const { top, parts } = this.page.state, name = t("part.same.name", { n: parts.length + 1 });
    const input = fileInput(t("part.add.file"), AUDIO_FILES, ([file]) => this.#add(upload(`/songs/${top}/parts`, file)));
    const same = () => this.#add(post(`/songs/${top}/parts/copy`, { name }));
    return h("details.menu.below.add-part", {}, h("summary", { id: "add-part", title: t("part.hint") }, icon("plus"), t("part.add")),
      h("div", {}, h("small", {}, t("part.hint")),
        h("label.button.quiet", {}, input, icon("upload"), t("part.add.file")),
        h("button.quiet", { type: "button", id: "add-same", disabled: parts[0]?.state !== "ready", onclick: same }, icon("plus"), t("part.add.same"))));
  }

  async #add(made) {
    try { location.hash = `#/songs/${(await made).id}`; } catch (error) { toast(error.message, "bad"); }
  }

  #exportMenu() {
    const what = h("select", { id: "what" }, ["whole", "stems", "takes"].map((each) => h("option", { value: each }, t(`export.${each}`))));
    const format = h("select", { id: "format", onchange: () => remember("format", format.value) },
      ["wav", "flac", "mp3", "ogg"].map((each) => h("option", { value: each, selected: each === state.settings.format }, each.toUpperCase())));
    const go = async () => {
      try { await post(`/songs/${this.page.state.top}/export`, { what: what.value, format: format.value }); toast(t("export.began")); }
      catch (error) { toast(error.message, "bad"); }
    };
    return h("details.menu.below", {}, h("summary.button", {}, icon("save"), t("export.title")),
      h("div", {}, field(t("export.what"), what), field(t("export.format"), format),
        h("button.primary", { type: "button", id: "export", disabled: !this.exportable, onclick: go }, t("export.go")), h("small", {}, t("export.hint"))));
  }
}

/** The jobs of a song that wait or run, each with its progress. */
export class JobList {
  constructor(page) {
    this.page = page;
    this.element = h("div.status", {});
  }

  draw() { replace(this.element, this.page.state.active().map(row)); }
}

function row(job) {
  const { stage: now, done, total, seconds_left } = job.progress, share = total ? done / total : 0;
  const text = job.state === "queued" ? t("job.waiting") : [now && stage(now), total && percent(share), left(seconds_left)].filter(Boolean).join(" · ");
  const cancel = () => post(`/jobs/${job.id}/cancel`).catch((error) => toast(error.message, "bad"));
  return h("div.job", {}, h("strong", {}, t(`job.${job.kind}`)), h("span", {}, text),
    h("progress", { max: 1, value: share, "aria-label": t(`job.${job.kind}`) }),
    h("button.quiet", { type: "button", onclick: cancel }, t("cancel")));
}
