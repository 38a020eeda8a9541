// Songs, and the way for somebody who is here for the first time.

import { call, get, upload } from "../api.js";
import { clock, dropzone, h, icon, replace, toast } from "../dom.js";
import { bytes, explain, t } from "../i18n.js";

/** Add song files and go to the (last) one. */
export async function addSongs(files) {
  let last = null;
  for (const file of files) {
    try { last = await upload("/songs", file, (share) => toast(t("upload.progress", { name: file.name, share: Math.round(100 * share) }))); }
    catch (error) { toast(t("upload.failed", { name: file.name, why: error.message }), "bad"); }
  }
  if (last) { toast(t("upload.done")); location.hash = `#/songs/${last.id}`; }
}

function songRow(song, reload) {
  const remove = h("button.quiet.round", {
    type: "button", "aria-label": t("song.delete", { name: song.name }), title: t("delete"),
    onclick: async () => { if (confirm(t("song.delete.sure", { name: song.name }))) { await call("DELETE", `/songs/${song.id}`); reload(); } },
  }, icon("trash"));
  const what = song.state === "ready" ? `${clock(song.seconds)} · ${t("song.phrases", { n: song.phrases.length })}` : song.state === "failed" ? song.error && explain(song.error) : t("song.analysing");
  return h("li.row", {}, h("a.row-link", { href: `#/songs/${song.id}` }, h("strong", {}, song.name), h(`small${song.state === "failed" ? ".bad" : ""}`, {}, what)), h("small.wide-only", {}, bytes(song.bytes)), remove);
}

export async function home() {
  const list = h("ul.rows", {}), steps = h("div", {});
  async function reload() {
    const [songs, voices] = await Promise.all([get("/songs"), get("/voices")]);
    const ready = voices.filter((voice) => voice.state === "ready");
    replace(list, songs.length ? songs.map((song) => songRow(song, reload)) : h("li.nothing", {}, t("home.no_songs")));
    replace(steps, !songs.length && h("ol.steps", {},
      h(`li${ready.length ? ".done" : ""}`, {}, h("h3", {}, t("home.step1")), h("p", {}, t("home.step1.text")), h(`a.button${ready.length ? "" : ".primary"}`, { href: "#/voices" }, ready.length ? t("home.step1.ready", { n: ready.length }) : t("home.step1.go"))),
      h("li", {}, h("h3", {}, t("home.step2")), h("p", {}, t("home.step2.text"))),
      h("li", {}, h("h3", {}, t("home.step3")), h("p", {}, t("home.step3.text")))));
  }
  const element = h("div.page", {},
    h("section.hero", {}, h("h1", {}, t("home.title")), h("p.lead", {}, t("home.lead"))),
    steps,
    dropzone(t("home.drop_song"), t("home.drop_song.hint"), true, addSongs),
    h("section", {}, h("h2", {}, t("nav.songs")), list));
  await reload();
  return { element, title: t("nav.songs"), event: (kind) => kind === "song" && reload(), reload };
}
