// The audio thread: sound of the microphone goes out in frames of 20 ms, converted frames come in and are played.

const LEAST = 3, MOST = 25; // frames that the jitter buffer waits for before it plays
const SPARE = 5; // frames more than that are dropped: they would only add latency
const CALM = 10 * sampleRate; // samples without an underrun after which it waits for one frame less
const REPORT = sampleRate / 10; // samples between two reports

class LiveProcessor extends AudioWorkletProcessor {
  /** `processorOptions.frame`: samples of a frame. */
  constructor({ processorOptions: { frame } }) {
    super();
    this.recorded = new Float32Array(frame);
    this.filled = 0;
    this.queue = []; // converted frames
    this.at = 0; // samples of the first one that were played
    this.wait = LEAST;
    this.playing = false;
    this.calm = this.since = this.underruns = 0;
    this.peaks = [0, 0];
    this.port.onmessage = ({ data }) => this.queue.push(data);
  }

  process([input], [output]) {
    const left = output[0], source = input[0];
    this.#play(left);
    for (const other of output.slice(1)) other.set(left);
    if (source) this.#record(source);
    this.since += left.length;
    if (this.since >= REPORT) this.#report();
    return true;
  }

  #record(source) {
    for (const sample of source) {
      this.peaks[0] = Math.max(this.peaks[0], Math.abs(sample));
      this.recorded[this.filled++] = sample;
      if (this.filled < this.recorded.length) continue;
      this.port.postMessage({ frame: this.recorded.slice() });
      this.filled = 0;
    }
  }

  #play(out) {
    if (!this.playing && this.queue.length >= this.wait) {
      while (this.queue.length > this.wait) this.queue.shift(); // what waited too long is not played
      this.playing = true;
    }
    if (this.playing && this.queue.length > this.wait + SPARE) this.queue.splice(0, this.queue.length - this.wait);
    for (let i = 0; this.playing && i < out.length; i++) {
      if (!this.queue.length) { this.#underrun(); return; }
      out[i] = this.queue[0][this.at++];
      this.peaks[1] = Math.max(this.peaks[1], Math.abs(out[i]));
      if (this.at === this.queue[0].length) { this.queue.shift(); this.at = 0; }
    }
    this.calm += out.length;
    if (this.calm > CALM && this.wait > LEAST) { this.wait -= 1; this.calm = 0; }
  }

  #underrun() {
    this.playing = false;
    this.underruns += 1;
    this.wait = Math.min(MOST, this.wait + 2);
    this.calm = 0;
  }

  #report() {
    const waiting = this.queue.reduce((sum, frame) => sum + frame.length, 0) - this.at;
    this.port.postMessage({ report: { in: this.peaks[0], out: this.peaks[1], waiting: waiting / sampleRate, underruns: this.underruns } });
    this.peaks = [0, 0];
    this.since = 0;
  }
}

registerProcessor("svc-live", LiveProcessor);
