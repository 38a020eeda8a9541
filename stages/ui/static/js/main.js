// Begins: language, theme, session, routes.

import { ApiError, get, post, listen } from "./api.js";
import { h, icon, replace, toast, field } from "./dom.js";
import { LANGUAGES, current, load, preferred, t } from "./i18n.js";
import { remember, state } from "./settings.js";
import { home } from "./views/home.js";
import { live } from "./views/live.js";
import { results } from "./views/results.js";
import { song } from "./views/song.js";
import { voice, voices } from "./views/voice.js";

const ROUTES = [
  [/^$/, home, ""], [/^voices$/, voices, "voices"], [/^voices\/([0-9a-f]+)$/, voice, "voices"],
  [/^songs\/([0-9a-f]+)$/, song, ""], [/^live$/, live, "live"], [/^results$/, results, "results"],
];

let view = null; // {event(kind, data), close()}: what is shown now
let shown = 0;
let heard = 0; // events of the server

function chrome() {
  document.getElementById("skip").textContent = t("skip");
  const here = location.hash.replace(/^#\/?/, "").split("/")[0];
  const link = (path, label) => h("a", { href: `#/${path}`, "aria-current": (here === path || (!path && here === "songs")) && "page" }, label);
  const nav = document.getElementById("nav");
  nav.setAttribute("aria-label", t("nav.label"));
  replace(nav, link("", t("nav.songs")), link("voices", t("nav.voices")), link("live", t("nav.live")), link("results", t("nav.results")));
  const choose = h("select", {
    "aria-label": t("language"),
    onchange: async () => { remember("language", choose.value); await load(choose.value); await route(); },
  }, Object.entries(LANGUAGES).map(([tag, name]) => h("option", { value: tag, selected: tag === current(), lang: tag }, name)));
  const dark = document.documentElement.dataset.theme === "dark";
  replace(document.getElementById("tools"), choose, h("button.quiet.round", {
    type: "button", "aria-label": t(dark ? "theme.light" : "theme.dark"), title: t(dark ? "theme.light" : "theme.dark"),
    onclick: () => { theme(dark ? "light" : "dark"); remember("theme", dark ? "light" : "dark"); route(); },
  }, icon(dark ? "sun" : "moon")));
}

function theme(name) {
  const dark = name ? name === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

async function route() {
  const path = location.hash.replace(/^#\/?/, "");
  const mine = ++shown, before = heard;
  view?.close?.();
  view = null;
  chrome();
  const main = document.getElementById("main");
  const found = ROUTES.map(([pattern, make]) => [pattern.exec(path), make]).find(([match]) => match);
  try {
    if (!found) throw new ApiError(404, { message: t("error.not_found") });
    const made = await found[1](...found[0].slice(1));
    if (mine !== shown) { made.close?.(); return; }
    view = made;
    replace(main, made.element);
    document.title = `${made.title} · svc`;
    made.ready?.();
    if (heard !== before) made.reload?.(); // an event that came while the view was loading went to the one before
  } catch (error) {
    if (error.status === 401) { askToken(main); return; }
    replace(main, h("section.card.narrow", {}, h("h1", {}, t("error.title")), h("p", {}, error.message), h("a", { href: "#/" }, t("error.back"))));
    if (!(error instanceof ApiError)) console.error(error);
  }
}

function askToken(main) {
  const input = h("input", { type: "password", autocomplete: "off", required: true });
  const form = h("form.card.narrow", {
    onsubmit: async (event) => {
      event.preventDefault();
      try { await post("/session", { token: input.value.trim() }); location.reload(); }
      catch (error) { toast(error.message, "bad"); }
    },
  }, h("h1", {}, t("token.title")), h("p", {}, t("token.text")), field(t("token.label"), input), h("button.primary", { type: "submit" }, t("token.open")));
  replace(main, form);
  input.focus();
}

async function begin() {
  const given = /^#token=(.+)$/.exec(location.hash);
  if (given) {
    history.replaceState(null, "", location.pathname);
    await post("/session", { token: decodeURIComponent(given[1]) }).catch(() => {});
  }
  try { state.settings = (await get("/settings")).values; state.health = await get("/health"); } catch { /* the route says why */ }
  theme(state.settings.theme);
  await load(preferred(state.settings.language));
  await route();
  addEventListener("hashchange", async () => {
    await route();
    document.getElementById("main").focus({ preventScroll: true });
    scrollTo(0, 0);
  });
  if (state.health) listen((kind, event) => { heard += 1; view?.event?.(kind, event); }, () => view?.reload?.());
}

begin();
