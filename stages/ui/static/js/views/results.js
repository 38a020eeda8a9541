// What was exported.

import { call, get, url } from "../api.js";
import { h, icon, replace } from "../dom.js";
import { bytes, current, t } from "../i18n.js";

export async function results() {
  const list = h("ul.rows", {});
  async function reload() {
    const found = await get("/results");
    replace(list, found.length ? found.map((result) => row(result, reload)) : h("li.nothing", {}, t("results.none")));
  }
  await reload();
  const element = h("div.page", {}, h("h1", {}, t("nav.results")), h("p.lead", {}, t("results.lead")), list);
  return { element, title: t("nav.results"), event: (kind) => kind === "result" && reload(), reload };
}

function row(result, reload) {
  const when = new Intl.DateTimeFormat(current(), { dateStyle: "medium", timeStyle: "short" }).format(result.created * 1000);
  const voices = (result.about.voices ?? []).map((voice) => voice.voice).join(", ");
  return h("li.row.tall", {},
    h("div.row-link", {}, h("strong", {}, result.label), h("small", {}, [when, bytes(result.bytes), voices].filter(Boolean).join(" · ")), h("small.tagged", {}, t("results.tagged"))),
    result.media.startsWith("audio/") && h("audio", { controls: true, preload: "none", src: url(`/results/${result.id}/file`), "aria-label": result.label }),
    h("a.button", { href: url(`/results/${result.id}/file?save=true`), download: result.label }, icon("save"), t("save")),
    h("button.quiet.round", {
      type: "button", "aria-label": `${t("delete")}: ${result.label}`, title: t("delete"),
      onclick: async () => { if (confirm(t("results.delete.sure", { name: result.label }))) { await call("DELETE", `/results/${result.id}`); reload(); } },
    }, icon("trash")));
}
