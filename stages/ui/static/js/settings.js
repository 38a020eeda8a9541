// What the page remembers: settings of the user, and what the server says of itself.

import { call } from "./api.js";

export const state = { settings: {}, health: null };

/** Remember something, over reloads and restarts. */
export function remember(name, value) {
  state.settings[name] = value;
  call("PUT", "/settings", { values: { [name]: value } }).catch(() => {});
}
