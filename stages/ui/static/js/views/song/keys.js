// The keyboard on the timeline.

import { RATE } from "../../timeline.js";

const STEP = 0.5, FINE_STEP = 0.1; // seconds that an arrow key moves

/** Do what a key says. */
export function pressed(page, event) {
  const { timeline, transport, state } = page;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const act = (name) => () => timeline.act(name);
  const seconds = event.altKey ? FINE_STEP : STEP, fine = event.altKey ? "_fine" : "";
  const vertical = (way) => act(event.shiftKey && !event.altKey ? `octave_${way}` : way + fine);
  const keys = {
    " ": () => transport.toggle(), b: () => transport.swap(), Home: () => transport.seek(0), End: () => transport.seek(state.song.seconds),
    "+": () => timeline.zoom(1.5), "=": () => timeline.zoom(1.5), "-": () => timeline.zoom(1 / 1.5),
    "[": () => page.choose(Math.max(0, state.chosen - 1), true),
    "]": () => page.choose(Math.min(state.song.phrases.length - 1, state.chosen + 1), true),
    ArrowLeft: () => sideways(page, -seconds, event.shiftKey), ArrowRight: () => sideways(page, seconds, event.shiftKey),
    ArrowUp: vertical("up"), ArrowDown: vertical("down"),
    o: act("octaves"), s: act("straighten"), r: act("restore"), Delete: act("mute"), Backspace: act("mute"),
    n: () => nextNote(page, event.shiftKey ? -1 : 1), Escape: () => timeline.select(null),
  };
  const commands = { z: act(event.shiftKey ? "redo" : "undo"), y: act("redo"), c: act("copy"), v: act("paste") };
  const found = (event.ctrlKey || event.metaKey ? commands : keys)[key];
  if (!found) return;
  event.preventDefault();
  found();
}

/** Move the cursor, or the end of the selection. */
function sideways({ timeline, transport }, seconds, selecting) {
  if (!selecting) {
    transport.seek(Math.max(0, timeline.cursor + seconds));
    timeline.show(timeline.cursor);
    return;
  }
  const cursor = Math.round(timeline.cursor * RATE), [from, to] = timeline.selection ?? [cursor, cursor];
  timeline.select([from, Math.max(from + 1, to + Math.round(seconds * RATE))]);
}

/** Select the next note, or the one before (`direction` -1). */
function nextNote({ timeline, state: { curve } }, direction) {
  const { selection } = timeline;
  let frame = Math.round(timeline.cursor * RATE);
  if (selection) frame = direction > 0 ? selection[1] : selection[0] - 1;
  while (frame >= 0 && frame < curve.hz.length && !(curve.hz[frame] > 0)) frame += direction;
  const note = curve.noteAt(frame);
  if (!note) return;
  timeline.select(note);
  timeline.cursor = note[0] / RATE;
  timeline.show(timeline.cursor);
}
