// Checks static/js/editor.js under node: node editor_test.mjs PATH
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const text = readFileSync(process.argv[2], "utf8");
const { Curve, parse } = await import("data:text/javascript;base64," + Buffer.from(text).toString("base64"));

const RATE = 44100 / 512;
const vibrato = (i) => 220 * 2 ** ((0.5 * Math.sin((2 * Math.PI * 5.5 * i) / RATE)) / 12);
const note = (from, to, make) => { for (let i = from; i < to; i++) hz[i] = make(i); };
const hz = new Float32Array(600);
note(50, 200, vibrato);
note(250, 400, () => 330);
note(320, 330, () => 660); // an octave slip

const cents = (a, b) => Math.abs(1200 * Math.log2(a / b));
const start = Float32Array.from(hz);
let told = 0;
const curve = new Curve(hz, hz, () => { told += 1; });

assert.deepEqual(curve.noteAt(100), [50, 200]);
assert.deepEqual(curve.noteAt(300), [250, 320]);
assert.equal(curve.noteAt(10), null);

curve.shift(50, 200, 12);
assert.ok(cents(curve.hz[100], 2 * start[100]) < 0.01);
assert.equal(curve.hz[300], start[300]);
curve.undo();
assert.deepEqual(curve.hz, start);
curve.redo();
assert.ok(cents(curve.hz[100], 2 * start[100]) < 0.01);
curve.undo();

curve.fixOctaves(320, 330);
assert.ok(cents(curve.hz[325], 330) < 0.01);

assert.ok(curve.copyVibrato(50, 200));
curve.straighten(50, 200, 1);
for (let i = 80; i < 170; i++) assert.ok(cents(curve.hz[i], 220) < 12, `straight at ${i}: ${curve.hz[i]}`);
curve.pasteVibrato(250, 400);
const swing = Math.max(...Array.from(curve.hz.slice(290, 360), (value) => cents(value, 330)));
assert.ok(swing > 30 && swing < 70, `vibrato of ${swing} cents`);
assert.equal(curve.hz[240], 0);

curve.mute(50, 100);
assert.equal(curve.hz[60], 0);
curve.restore(0, 600);
assert.deepEqual(curve.hz, start);

curve.draw([[500, 200], [510, 400]]);
assert.ok(cents(curve.hz[505], 200 * Math.SQRT2) < 1);
assert.equal(curve.hz[511], 0);

while (curve.undo());
assert.deepEqual(curve.hz, start);
while (curve.redo());
assert.equal(curve.edit(0, 10, (part) => part), false); // nothing changed, nothing to undo
curve.shift(0, 600, 48); // what is far too high is limited
assert.ok(Math.max(...curve.hz) <= 2000);
while (curve.undo());

const again = parse(curve.csv());
assert.deepEqual(again, curve.hz); // the file gives the same curve, to the bit
assert.equal(curve.csv().split("\n")[1].split(",")[0], (0.5 / RATE).toFixed(6));
assert.ok(told > 10);
