// The tools: what pointer and wheel do on the image with each of them.

export const TOOLS = [
  // name, key, label, hint
  ["select", "v", "Select", "Click a fiber to see its measures. Drag to move, wheel to zoom."],
  ["add", "a", "Add", "Click into a missed axon; wheel grows or shrinks; Enter accepts, Esc refuses."],
  ["draw", "d", "Draw", "Click or drag the axon's outline; double-click, then the sheath's outline; Enter accepts."],
  ["brush", "b", "Brush", "Paint myelin or axon. [ and ] change the width."],
  ["erase", "e", "Erase", "Erase myelin and axon. [ and ] change the width."],
  ["split", "s", "Split", "Drag a line across an axon, or click its two ends beside the axon."],
  ["merge", "m", "Merge", "Click two neighbouring fibers."],
  ["axon", "r", "Ring", "Click the region within a ring that is the axon."],
  ["nerve", "o", "Nerve", "Click or drag around the nerve; Enter accepts it, Shift Enter adds a fascicle."],
  ["scale", "l", "Scale bar", "Click the two ends of the scale bar, then type its length."],
];
const DRAG_PX = 4;

export class Tools {
  // actions: {choose(row), step(body), propose(body), at(x, y), measureBar(length), shapes()}
  constructor(viewer, actions) {
    this.viewer = viewer;
    this.actions = actions;
    this.brushWidth = 8;
    this.sheathWidth = 6;
    this.part = "myelin";
    this.set("select");
    const { canvas } = viewer;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", () => (this.drag = null));
    canvas.addEventListener("dblclick", () => (this.name === "nerve" ? this.accept() : this.closeOutline()));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  set(name) {
    this.name = name;
    this.refuse();
  }

  // Forget what is not accepted.
  refuse() {
    this.points = [];
    this.begun = false;
    this.first = null; // of the two fibers to merge
    this.axon = null;
    this.proposal = null;
    this.grow = 0;
    this.show();
  }

  get freehand() { return ["draw", "nerve"].includes(this.name); }
  get strokes() { return ["brush", "erase", "split", "scale"].includes(this.name); }

  get line() { return ["split", "scale"].includes(this.name); }

  down(event) {
    const { canvas } = this.viewer;
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    const pans = event.button !== 0 || event.altKey || !(this.freehand || this.strokes);
    this.drag = { x: event.clientX, y: event.clientY, lastX: event.clientX, lastY: event.clientY, pans, moved: false,
      button: event.button };
    if (this.strokes && !pans && !this.begun) this.points = [this.viewer.pixel(event)];
  }

  move(event) {
    const drag = this.drag;
    if (!drag) return;
    if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) >= DRAG_PX) drag.moved = true;
    if (!drag.moved) return;
    if (drag.pans) this.viewer.pan(event.clientX - drag.lastX, event.clientY - drag.lastY);
    else if (this.line) this.points = [this.points[0], this.viewer.pixel(event)];
    else this.points.push(...(event.getCoalescedEvents?.() ?? [event]).map((one) => this.viewer.pixel(one)));
    [drag.lastX, drag.lastY] = [event.clientX, event.clientY];
    this.show();
  }

  up(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag || drag.button !== 0) return;
    const place = this.viewer.pixel(event);
    if (drag.pans) {
      if (!drag.moved) this.click(place);
    } else if (this.strokes) {
      // Lines are dragged, or clicked at both ends.
      if (this.line && !drag.moved && !this.begun) this.begun = true;
      else this.endStroke(place);
    } else if (drag.moved) {
      if (this.points.length > 2) this.closeOutline();
    } else {
      this.points.push(place);
      this.show();
    }
  }

  // A click at a place of the image, by the pointer or at the cross by the keyboard.
  async click([x, y]) {
    const { actions } = this;
    if (this.name === "add") {
      this.grow = 0;
      this.place = [x, y];
      await this.propose();
    } else if (this.name === "axon") {
      await actions.step({ tool: "axon", x, y });
    } else if (this.freehand) {
      this.points.push([x, y]);
    } else if (this.strokes) {
      if (this.points.length) this.endStroke([x, y]);
      else this.points = [[x, y]];
    } else {
      const row = await actions.at(x, y), { first } = this;
      this.first = null;
      if (this.name === "merge" && first !== null && row !== null && row !== first) {
        await actions.step({ tool: "merge", row: first, other: row });
      } else {
        this.first = row;
        await actions.choose(row);
      }
    }
    this.show();
  }

  async propose() {
    const [x, y] = this.place;
    try {
      this.proposal = await this.actions.propose({ x, y, grow: this.grow });
    } catch {
      this.proposal = null;
    }
    this.show();
  }

  endStroke(place) {
    if (this.points.length < 2) this.points.push(place);
    const points = this.points;
    this.points = [];
    this.begun = false;
    const { name, part, brushWidth: width, actions } = this;
    if (name === "split") actions.step({ tool: "split", points });
    else if (name === "scale") actions.measureBar(Math.hypot(points[0][0] - points[1][0], points[0][1] - points[1][1]));
    else actions.step({ tool: "brush", part: name === "erase" ? "nothing" : part, points, width });
    this.show();
  }

  // The outline of the axon is done, the sheath's begins; that of the nerve is accepted.
  closeOutline() {
    if (!this.freehand || this.points.length < 3) return;
    if (this.name === "nerve") return;
    if (!this.axon) {
      this.axon = this.points;
      this.points = [];
    }
    this.show();
  }

  // Accept what is proposed or drawn.
  async accept(add = false) {
    const { actions } = this;
    if (this.name === "add" && this.proposal) await actions.step({ tool: "accept" });
    if (this.name === "nerve" && this.points.length > 2) {
      await actions.step({ tool: "nerve", points: this.points, add });
    }
    if (this.name === "draw") {
      const axon = this.axon ?? this.points, outer = this.axon && this.points.length > 2 ? this.points : null;
      if (axon.length > 2) await actions.step({ tool: "draw", axon, outer, width: this.sheathWidth });
    }
    this.refuse();
  }

  wheel(event) {
    event.preventDefault();
    const box = this.viewer.canvas.getBoundingClientRect();
    if (this.proposal) {
      this.grow += event.deltaY < 0 ? 1 : -1;
      this.propose();
    } else {
      this.viewer.zoomAt(1.2 ** (-event.deltaY / 100), event.clientX - box.left, event.clientY - box.top);
    }
  }

  resizeBrush(factor) {
    this.brushWidth = Math.min(Math.max(Math.round(this.brushWidth * factor), 1), 200);
  }

  // Draw what is not accepted yet.
  show() {
    const shapes = [...this.actions.shapes()];
    if (this.proposal) {
      for (const points of this.proposal.fiber) shapes.push({ points, color: "#ffb000", closed: true });
      for (const points of this.proposal.axon) shapes.push({ points, color: "#ffffff", closed: true });
    }
    if (this.axon) shapes.push({ points: this.axon, color: "#ffffff", closed: true });
    if (this.points.length) shapes.push({ points: this.points, color: "#ffb000", dash: true });
    this.viewer.shapes = shapes;
    this.viewer.redraw();
  }
}
