// The window: its screens, the run under way, keys; window.app is what tests use.

import { $, get, idle, listen, post, run, setErrorHandler, test } from "/page/api.js";
import { ImageScreen } from "/page/image.js";
import { heldBack, showLearn, showResults, showTraining } from "/page/results.js";
import { TableScreen } from "/page/table.js";

class App {
  constructor() {
    this.known = {}; // how often each image had changed when this page last showed it
    this.study = { images: [] };
    this.screen = "images";
    setErrorHandler((text) => this.say(text));
    this.table = new TableScreen(this);
    this.image = new ImageScreen(this);
    for (const button of document.querySelectorAll("nav button")) button.onclick = () => this.go(button.dataset.screen);
    test("segment").onclick = () => this.start({ what: "segment" });
    test("measure").onclick = () => this.start({ what: "measure" });
    test("train").onclick = () => this.go("learn").then(() => this.start({ what: "train", held_back: heldBack(),
      epochs: Number($("#epochs").value) || 10 }));
    $("#use").onclick = () => this.set({ model: "window.h5" });
    $("#discard").onclick = () => this.set({ model: "bestmyelin.h5" });
    $("#stop").onclick = () => post("stop", {}).then((status) => this.follow(status));
    $("#unblind").onclick = () => this.set({ unblind: true });
    $("#message button").onclick = () => ($("#message").hidden = true);
    document.addEventListener("keydown", (event) => this.key(event));
    this.ready = this.reload().then(() => this.openFromAddress());
    listen((status) => this.follow(status));
  }

  idle() { return this.ready.then(idle); }
  pageOf(x, y) { return this.image.viewer.pageOf(x, y); }

  say(text) {
    $("#message span").textContent = text;
    $("#message").hidden = false;
  }

  async reload() {
    this.take(await get("study"));
    this.table.show(this.study);
    if (this.screen === "learn") await showLearn(this.study, this.image.view?.id);
    if (this.screen === "results") await showResults();
  }

  take(study) {
    this.study = study;
    $("#blind").hidden = !study.blind;
    $("#folder-label").hidden = !study.tree;
    test("command").textContent = study.command;
    test("train").disabled = !study.keras;
  }

  async go(screen) {
    if (screen === "image" && !this.image.view) {
      if (!this.study.images.length) return this.say("No image is open: add one and press Open.");
      return this.open(this.study.images[0].id);
    }
    this.show(screen);
    if (screen === "image") test("viewer").focus({ preventScroll: true });
    else await this.reload();
  }

  show(screen) {
    this.screen = screen;
    for (const main of document.querySelectorAll("main")) main.hidden = main.id !== screen;
    for (const one of document.querySelectorAll("nav button")) one.ariaPressed = String(one.dataset.screen === screen);
    $("#hint").hidden = screen !== "image";
    $("#message").hidden = true;
  }

  async open(id) {
    history.replaceState(null, "", `#${encodeURIComponent(id)}`);
    this.show("image");
    await this.image.open(id);
    test("viewer").focus({ preventScroll: true });
  }

  // A reload of the page stays at its image.
  async openFromAddress() {
    const id = decodeURIComponent(location.hash.slice(1));
    if (id && this.study.images.some((image) => image.id === id)) await this.open(id);
  }

  async set(values) {
    await post("set", values);
    await this.reload();
  }

  async start(body) {
    $("#message").hidden = true;
    const status = await post("run", body);
    if (status) this.follow(status);
  }

  // Show the run; when it has ended, show what it changed.
  async follow({ run: status, changes = {} }) {
    const ended = run.running && !status.running;
    run.running = status.running;
    $("#run").hidden = !status.running;
    const bar = test("progress");
    if (status.percent === undefined) bar.removeAttribute("value");
    else bar.value = status.percent;
    const left = status.left && !status.left.includes("?") ? `, ${status.left} left` : "";
    const done = status.total ? ` ${status.done} of ${status.total}` : "";
    $("#run-text").textContent = status.running ? `${status.step ?? status.what}${done}${left}` : "";
    if (this.screen === "learn" && status.what === "train" && status.done !== this.epochs) showTraining();
    this.epochs = status.done;
    const lines = status.lines ?? [], failed = lines.filter((line) => line.startsWith("error:"));
    $("#log").textContent = status.what === "train" ? "" : lines.join("\n");
    $("#train-log").textContent = status.what === "train" ? lines.join("\n") : "";
    if (ended) {
      if (failed.length) this.say(failed.join("\n"));
      await this.reload();
    }
    const id = this.image.view?.id, changed = id in changes && changes[id] !== this.known[id];
    if (changed) this.known[id] = changes[id];
    if (ended || changed) await this.image.refresh();
  }

  key(event) {
    if (this.screen !== "image") return;
    const field = ["INPUT", "SELECT"].includes(event.target.tagName) && event.target.type !== "checkbox";
    if (field && event.key === "Escape") test("viewer").focus();
    else if (!field && this.image.key(event)) event.preventDefault();
  }

  // The length of the scale bar was drawn: ask for it in µm.
  async measureBar(pixels) {
    const text = window.prompt(`The scale bar is ${pixels.toFixed(1)} pixels long. Its length in µm:`);
    if (text === null) return;
    await this.table.describe([this.image.view.id], { um: String(Number(text.replace(",", ".")) / pixels) });
    await this.image.refresh();
  }
}

window.app = new App();
