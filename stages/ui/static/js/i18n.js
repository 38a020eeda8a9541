// The page's words: one JSON file a language.

const LANGUAGES = { en: "English", ko: "한국어" };
let words = {}, fallback = {}, language = "en", plural = new Intl.PluralRules("en");

export { LANGUAGES };
export const current = () => language;

/** The language to begin with: what was chosen before, else the browser's first that is there. */
export function preferred(saved) {
  if (saved in LANGUAGES) return saved;
  return navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in LANGUAGES) ?? "en";
}

export async function load(tag) {
  const read = async (name) => (await fetch(`i18n/${name}.json`)).json();
  fallback = await read("en");
  words = tag === "en" ? fallback : await read(tag);
  language = tag;
  plural = new Intl.PluralRules(tag);
  document.documentElement.lang = tag;
}

/** The words of a key, `{name}` filled in; a key with plurals has {one, other}, chosen by `n`. */
export function t(key, values = {}) {
  let found = words[key] ?? fallback[key] ?? key;
  if (typeof found === "object") found = found[plural.select(values.n ?? 0)] ?? found.other;
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** What a job does now, by the label of its progress bar; as it is where the page has no word for it. */
export const stage = (label) => known(`stage.${label.split(",")[0].replaceAll(" ", "_")}`, label);
export const unit = (name) => known(`unit.${name}`, name);

const known = (key, otherwise) => (key in fallback ? t(key) : otherwise);

/** What an error of the API, `{code, message}`, says in the page's language: by its code, or as the server says it. */
export const explain = (error) => {
  const key = `error.${error.code}`;
  return t(key in fallback ? key : "error.other", { message: error.message });
};

export const number = (value, digits = 0) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);

/** A number with its sign, as of a key: +3, −1.5. */
export const signed = (value, digits = 0) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${number(Math.abs(value), digits)}`;

export const percent = (share) => new Intl.NumberFormat(language, { style: "percent" }).format(share);

export function bytes(count) {
  return count < 2 ** 20 ? `${number(count / 1024)} KB` : `${number(count / 2 ** 20, 1)} MB`;
}

/** "about 3 minutes left". */
export function left(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return t("left.seconds", { n: Math.max(1, Math.round(seconds)) });
  if (seconds < 5400) return t("left.minutes", { n: Math.round(seconds / 60) });
  return t("left.hours", { n: number(seconds / 3600, 1) });
}
