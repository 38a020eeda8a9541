// Sound between the microphone, the server that converts it, and the loudspeaker.

import { t } from "../i18n.js";

const RATE = 44100; // Hz, of the stream; the browser resamples what the devices have
const FRAME = 882; // samples that are sent at a time, 20 ms
const BEHIND = 25; // frames that wait to be sent, above which new ones are dropped
const RECENT = 50; // frames of which the middle round trip is told
const DEVICE = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };

export class LiveConnection {
  /** `on`: {event(event), report({in, out, waiting, underruns, latency}), closed()}. */
  constructor(on) {
    this.on = on;
    this.sent = []; // when each frame was sent that is not answered yet
    this.trips = [];
    this.status = null;
  }

  /** Ask for the microphone, and begin with a voice and settings. Raises Error where there is no microphone. */
  async open(start) {
    if (!navigator.mediaDevices) throw new Error(t("live.insecure"));
    try { this.microphone = await navigator.mediaDevices.getUserMedia({ audio: DEVICE }); }
    catch (error) { throw new Error(t(error.name === "NotAllowedError" ? "live.not_allowed" : "live.no_microphone")); }
    this.context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    await this.context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    this.node = new AudioWorkletNode(this.context, "svc-live", { outputChannelCount: [2], processorOptions: { frame: FRAME } });
    this.node.port.onmessage = ({ data }) => (data.frame ? this.#send(data.frame) : this.#report(data.report));
    this.socket = new WebSocket(new URL("api/v1/live", document.baseURI).href.replace(/^http/, "ws"));
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.socket.send(JSON.stringify(start));
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.#event(JSON.parse(data)) : this.#play(data));
    this.socket.onclose = () => { this.close(); this.on.closed(); };
  }

  /** Use other settings from now on. */
  change(settings) { if (this.ready) this.socket.send(JSON.stringify(settings)); }

  #event(event) {
    if (event.status) this.status = event.status;
    if (event.event === "ready") {
      this.ready = true;
      this.context.createMediaStreamSource(this.microphone).connect(this.node).connect(this.context.destination);
      this.context.resume();
    }
    this.on.event(event);
  }

  #send(frame) {
    if (this.socket.readyState !== WebSocket.OPEN || this.socket.bufferedAmount > BEHIND * frame.byteLength) return;
    this.sent.push(performance.now());
    this.socket.send(frame.buffer);
  }

  #play(data) {
    this.trips.push((performance.now() - this.sent.shift()) / 1000);
    if (this.trips.length > RECENT) this.trips.shift();
    const frame = new Float32Array(data);
    this.node.port.postMessage(frame, [frame.buffer]);
  }

  #report(report) {
    const trips = [...this.trips].sort((a, b) => a - b), trip = trips[Math.floor(trips.length / 2)] ?? 0;
    const devices = (this.context.baseLatency ?? 0) + (this.context.outputLatency ?? 0);
    const latency = this.status ? FRAME / RATE + trip + this.status.delay_ms / 1000 + report.waiting + devices : null;
    this.on.report({ ...report, latency });
  }

  close() {
    this.ready = false;
    this.microphone?.getTracks().forEach((track) => track.stop());
    this.node?.disconnect();
    if (this.context && this.context.state !== "closed") this.context.close();
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) this.socket.close();
  }
}
