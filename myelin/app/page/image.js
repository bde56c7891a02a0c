// The screen of one image: viewer, tools, the chosen fiber, decisions, doubts, numbers.

import { $, get, make, post, test } from "/page/api.js";
import { Scatter } from "/page/scatter.js";
import { TOOLS, Tools } from "/page/tools.js";
import { Viewer } from "/page/viewer.js";

const CLASSES = ["normal", "thin", "swollen", "degenerating", "cluster", "onion bulb", "not a fiber"];
const LEGEND = {
  state: [["#009e73", "counted"], ["#56b4e9", "at the border"], ["#f0e442", "doubtful"], ["#d55e00", "excluded"],
    ["#cc79a7", "myelin without axon"], ["#0072b2", "nerve"]],
  g: [["#440154", "g 0.3"], ["#21918c", "0.6"], ["#fde725", "0.9"]],
  class: [["#a0a0a0", "without a class"]],
};
const MEASURES = [["axon", "Axon diameter", "µm"], ["diameter", "Fiber diameter", "µm"],
  ["myelin", "Myelin thickness", "µm"], ["g", "g-ratio", ""], ["confidence", "Confidence", ""]];

const terms = (rows) => rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);

export class ImageScreen {
  constructor(app) {
    this.app = app;
    this.view = null;
    this.row = null;
    this.place = -1; // among the doubtful
    this.viewer = new Viewer(test("viewer"));
    this.scatter = new Scatter($("#plot"), (row) => this.choose(row));
    this.tools = new Tools(this.viewer, this);
    this.viewer.labels = () => this.numbers();
    for (const [name, key, label, hint] of TOOLS) {
      const button = make("button", { testid: `tool-${name}`, title: hint }, label, make("kbd", {}, key.toUpperCase()));
      button.onclick = () => this.use(name);
      test("accept").before(button);
    }
    test("accept").onclick = () => this.tools.accept();
    $("#refuse").onclick = () => this.tools.refuse();
    $("#fit").onclick = () => this.viewer.fit();
    this.use("select");
    this.makeSide();
  }

  makeSide() {
    for (const value of ["", ...CLASSES]) test("class").append(make("option", { value }, value || "none"));
    test("class").onchange = () => this.classify(test("class").value);
    $("#own-class").onchange = () => this.classify($("#own-class").value);
    for (const name of ["undo", "redo"]) test(name).onclick = () => this.step({ tool: name });
    for (const name of ["exclude", "keep", "delete"]) test(name).onclick = () => this.decide(name);
    test("next").onclick = () => this.goToDoubt(1);
    $("#previous").onclick = () => this.goToDoubt(-1);
    $("#mode").onchange = () => this.colour($("#mode").value);
    for (const name of ["#overlay", "#numbers"]) $(name).onchange = () => this.viewer.redraw();
    $("#restore-fiber").onclick = () => this.row !== null && this.step({ tool: "restore", row: this.row });
    $("#restore-image").onclick = () => this.step({ tool: "restore" });
    $("#remove-nerve").onclick = () => this.step({ tool: "nerve", points: [] });
    $("#again").onclick = () => this.app.start({ what: "segment", id: this.view.id,
      myelin: $("#again-myelin").value, scale: $("#again-scale").value.trim() });
    $("details").ontoggle = () => this.drawPlot();
    this.colour("state");
  }

  use(name) {
    this.tools.name = name;
    this.tools.refuse();
    for (const [key, , , hint] of TOOLS) {
      test(`tool-${key}`).ariaPressed = String(key === name);
      if (key === name) $("#hint").textContent = hint;
    }
  }

  async open(id) {
    this.row = null;
    this.outline = null;
    this.place = -1;
    this.tools.refuse();
    this.viewer.show(await get("size", { id })); // the image first, its measures when they are there
    this.take(await get("image", { id }));
  }

  // Another window or a command has changed the image.
  async refresh() {
    if (this.view) this.take(await get("image", { id: this.view.id }));
  }

  async step(body) {
    for (const key of ["row", "other"]) {
      if (body[key] !== undefined) body[`${key}_at`] = [this.view.fibers.x[body[key]], this.view.fibers.y[body[key]]];
    }
    const view = await post("step", { id: this.view.id, ...body });
    if (!view) return this.refresh();
    this.app.known[view.id] = (this.app.known[view.id] ?? 0) + 1;
    const chosen = this.row !== null && this.fiber(this.row); // keeps its place, not its row
    this.take(view);
    if (chosen) await this.choose((await get("at", { id: view.id, x: chosen.x, y: chosen.y })).row);
  }

  take(view) {
    this.view = view;
    test("fiber-count").textContent = view.count;
    test("density").textContent = view.density;
    test("mean-g").textContent = view.mean_g;
    test("command").textContent = view.command;
    for (const name of ["undo", "redo"]) {
      test(name).disabled = !view[name];
      test(name).textContent = (name === "undo" ? "Undo " : "Redo ") + view[name];
    }
    $("#warnings").textContent = view.warnings;
    $("#doubt-count").textContent = `${view.doubts.length} doubtful`;
    $("#summary").replaceChildren(...terms(Object.entries(view.summary)));
    if (this.row !== null && this.row >= view.fibers.fiber.length) this.row = null;
    this.showFiber();
    this.drawPlot();
    this.colour(this.viewer.mode);
    this.viewer.show(view);
    this.tools.loadCorners();
  }

  drawPlot() {
    if (!this.view || !$("details").open) return;
    const { axon, g, exclude, state } = this.view.fibers;
    const points = axon.map((x, id) => ({ id, x, y: g[id], color: "#0072b28c" }));
    this.scatter.draw(points.filter(({ id }) => !exclude[id] && state[id] !== "border"), this.row);
  }

  fiber(row) {
    return Object.fromEntries(Object.entries(this.view.fibers).map(([key, values]) => [key, values[row]]));
  }

  async choose(row) {
    this.row = row;
    this.outline = null;
    if (row !== null) {
      const { rings } = await get("outline", { id: this.view.id, row });
      this.outline = rings.map((points) => ({ points, color: "#ffffff", closed: true }));
    }
    this.showFiber();
    this.drawPlot();
    this.tools.show();
  }

  showFiber() {
    const fiber = this.row === null ? null : this.fiber(this.row);
    for (const name of ["exclude", "keep", "delete", "class"]) test(name).disabled = !fiber;
    $("#restore-fiber").disabled = $("#own-class").disabled = !fiber;
    $("#fiber-title").textContent = fiber ? `Fiber ${fiber.fiber}, ${fiber.state}` : "No fiber selected";
    const rows = fiber ? MEASURES.filter(([key]) => fiber[key] !== null).map(([key, name, unit]) =>
      [name, `${Number(fiber[key].toPrecision(4))} ${unit}`]) : [];
    if (fiber?.exclude) rows.push(["Excluded", fiber.exclude]);
    if (fiber?.classes) rows.push(["Class", fiber.classes]);
    $("#fiber").replaceChildren(...terms(rows));
    test("class").value = CLASSES.includes(fiber?.classes) ? fiber.classes : "";
    $("#own-class").value = fiber && !CLASSES.includes(fiber.classes) ? fiber.classes : "";
    const doubt = this.view?.doubts.find(([row]) => row === this.row);
    $("#reason").textContent = doubt ? `Doubtful: ${doubt[1]}` : "";
  }

  async decide(name) {
    if (this.row === null) return;
    const doubt = this.view.doubts.find(([row]) => row === this.row);
    const body = name === "exclude" ? { reason: doubt ? doubt[1] : "excluded by hand" } : {};
    await this.step({ tool: name, row: this.row, ...body });
  }

  async classify(name) {
    if (this.row !== null) await this.step({ tool: "class", row: this.row, class: name.trim() });
  }

  async goToDoubt(step) {
    const open = this.view.doubts.filter(([row]) => !this.view.fibers.exclude[row]);
    if (!open.length) return void ($("#reason").textContent = "No doubtful fiber is left.");
    const now = open.findIndex(([row]) => row === this.row);
    this.place = now >= 0 ? now + step : Math.max(this.place, 0);
    this.place = (this.place + open.length) % open.length;
    const [row] = open[this.place], fiber = this.fiber(row);
    this.viewer.goTo(fiber.x, fiber.y, 1.5);
    await this.choose(row);
  }

  colour(mode) {
    this.viewer.mode = mode;
    const classes = Object.entries(this.view?.class_colours ?? {}).map(([name, rgb]) => [`rgb(${rgb})`, name]);
    $("#legend").replaceChildren(...[...LEGEND[mode], ...(mode === "class" ? classes : [])].map(([color, text]) => {
      const mark = make("i");
      mark.style.background = color;
      return make("li", {}, mark, text);
    }));
    this.viewer.redraw();
  }

  numbers() {
    if (!$("#numbers").checked || !this.view) return [];
    const { fiber, x, y } = this.view.fibers;
    return fiber.map((text, index) => ({ text, x: x[index], y: y[index] }));
  }

  // Keys of this screen; return whether one was used.
  key(event) {
    const { key } = event, command = event.ctrlKey || event.metaKey, { viewer, tools } = this;
    if (!this.view) return false;
    const lower = key.toLowerCase();
    if (command && (lower === "z" || lower === "y")) {
      this.step({ tool: lower === "y" || event.shiftKey ? "redo" : "undo" });
      return true;
    }
    if (command || event.altKey) return false;
    const tool = TOOLS.find((one) => one[1] === lower);
    const moves = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
    const actions = {
      Enter: () => tools.accept(event.shiftKey),
      Escape: () => tools.refuse(),
      Delete: () => tools.deleteCorner() || this.decide("delete"),
      Backspace: () => tools.deleteCorner() || this.decide("delete"),
      " ": () => { viewer.cross = true; tools.click([viewer.x, viewer.y]); },
      "+": () => viewer.zoomAt(1.4), "=": () => viewer.zoomAt(1.4), "-": () => viewer.zoomAt(1 / 1.4),
      0: () => viewer.fit(),
      "[": () => this.brush(0.7), "]": () => this.brush(1.45),
      "#": () => $("#numbers").click(), h: () => $("#overlay").click(),
      x: () => this.decide("exclude"), k: () => this.decide("keep"), c: () => test("class").focus(),
      n: () => this.goToDoubt(1), p: () => this.goToDoubt(-1),
    };
    const onCanvas = document.activeElement === viewer.canvas || document.activeElement === document.body;
    if ((key === "Enter" || key === " ") && !onCanvas) return false;
    if (tool) this.use(tool[0]);
    else if (moves[key]) {
      viewer.cross = true;
      viewer.pan(...moves[key]);
    } else if (actions[key] ?? actions[lower]) (actions[key] ?? actions[lower])();
    else return false;
    return true;
  }

  brush(factor) {
    $("#brush").value = Math.min(Math.max(Math.round($("#brush").value * factor), 1), 200);
    this.tools.show();
  }
}
