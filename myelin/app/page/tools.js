// The tools: what pointer and wheel do on the image with each of them.

import { $, get, post } from "/page/api.js";
import { Corners } from "/page/corners.js";

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
  ["nerve", "o", "Nerve", "Drag a corner, click a line for a new one, Delete removes it. Or outline the nerve anew: "
    + "Enter replaces, Shift Enter adds a fascicle."],
  ["scale", "l", "Scale bar", "Click the two ends of the scale bar, then type its length."],
];
const DRAG_PX = 4;
const widthOf = (field) => Math.min(Math.max(Number($(field).value) || 1, 1), 200);

export class Tools {
  constructor(viewer, image) {
    this.viewer = viewer;
    this.image = image; // the screen of the image
    this.corners = new Corners(viewer);
    this.name = "select";
    const { canvas } = viewer;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", () => (this.drag = null));
    canvas.addEventListener("dblclick", () => (this.name === "nerve" ? this.accept() : this.closeOutline()));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  // Forget what is not accepted.
  refuse() {
    this.points = [];
    this.first = null;
    this.axon = null;
    this.proposal = null;
    this.grow = 0;
    this.loadCorners();
    this.show();
  }

  // The corners of the nerve's outlines, as they are in the file or were found.
  async loadCorners() {
    this.corners.show([]);
    const { name, image } = this;
    if (name === "nerve" && image.view) this.corners.show((await get("corners", { id: image.view.id })).outlines);
    this.show();
  }

  keepCorner() { return this.image.step(this.corners.step); }

  // Delete the chosen corner; return whether there is one.
  deleteCorner() {
    if (!this.corners.chosen) return false;
    if (this.corners.delete()) this.keepCorner();
    return true;
  }

  get paints() { return ["brush", "erase"].includes(this.name); }
  get line() { return ["split", "scale"].includes(this.name); }
  get pans() { return ["select", "add", "merge", "axon"].includes(this.name); }

  down(event) {
    const { canvas } = this.viewer, start = this.viewer.pixel(event);
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    this.drag = { x: event.clientX, y: event.clientY, lastX: event.clientX, lastY: event.clientY, start,
      button: event.button, pans: event.button !== 0 || event.altKey || this.pans, moved: false };
    this.drag.corner = !this.drag.pans && this.name === "nerve" && !this.points.length && this.corners.choose(start);
    this.show();
  }

  move(event) {
    const drag = this.drag;
    this.hover = this.viewer.pixel(event);
    if (!drag && this.paints) this.show();
    if (!drag) return;
    if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) >= DRAG_PX) drag.moved = true;
    if (!drag.moved) return;
    const place = this.hover;
    if (drag.pans) this.viewer.pan(event.clientX - drag.lastX, event.clientY - drag.lastY);
    else if (drag.corner) this.corners.move(place);
    else if (this.line) this.points = [drag.start, place];
    else {
      if (!this.points.length) this.points.push(drag.start);
      this.points.push(...(event.getCoalescedEvents?.() ?? [event]).map((one) => this.viewer.pixel(one)));
    }
    [drag.lastX, drag.lastY] = [event.clientX, event.clientY];
    this.show();
  }

  up(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag || drag.button !== 0) return;
    if (!drag.moved) {
      if (!drag.corner) this.click(drag.start);
    } else if (drag.corner) this.keepCorner();
    else if (this.name === "draw") this.closeOutline();
    else if (!drag.pans && this.name !== "nerve") this.endStroke();
  }

  // A click at a place of the image, by the pointer or at the cross by the keyboard.
  async click(place) {
    const { image, name } = this, [x, y] = place;
    if (name === "add") {
      this.grow = 0;
      this.place = place;
      await this.propose();
    } else if (name === "axon") {
      await image.step({ tool: "axon", x, y });
    } else if (name === "nerve" && this.corners.chosen) {
      this.corners.move(place);
      await this.keepCorner();
    } else if (name === "draw" || name === "nerve") {
      if (name === "draw" || this.points.length || !this.corners.choose(place)) this.points.push(place);
    } else if (name === "select" || name === "merge") {
      await this.choose((await get("at", { id: image.view.id, x, y })).row);
    } else {
      this.points.push(place);
      if (!this.line || this.points.length > 1) this.endStroke(); // lines are clicked at both ends
    }
    this.show();
  }

  async choose(row) {
    const { image, first } = this;
    this.first = null; // of the two fibers to merge
    if (this.name === "merge" && first !== null && row !== null && row !== first) {
      await image.step({ tool: "merge", row: first, other: row });
    } else {
      this.first = row;
      await image.choose(row);
    }
  }

  async propose() {
    const [x, y] = this.place;
    this.proposal = await post("propose", { id: this.image.view.id, x, y, grow: this.grow });
    this.show();
  }

  endStroke() {
    const { points, name, image } = this, part = name === "erase" ? "nothing" : $("#part").value;
    if (name === "split") image.step({ tool: "split", points });
    else if (name === "scale") {
      image.app.measureBar(Math.hypot(points[0][0] - points[1][0], points[0][1] - points[1][1]));
    }
    else image.step({ tool: "brush", part, points, width: widthOf("#brush") });
    this.points = [];
    this.show();
  }

  // The outline of the axon is done, the sheath's begins.
  closeOutline() {
    if (this.name !== "draw" || this.axon || this.points.length < 3) return;
    this.axon = this.points;
    this.points = [];
    this.show();
  }

  // Accept what is proposed or drawn.
  async accept(add = false) {
    const { image } = this;
    if (this.name === "add" && this.proposal) await image.step({ tool: "accept" });
    if (this.name === "nerve" && this.points.length > 2) {
      await image.step({ tool: "nerve", points: this.points, add });
    }
    if (this.name === "draw") {
      const axon = this.axon ?? this.points, outer = this.axon && this.points.length > 2 ? this.points : null;
      if (axon.length > 2) await image.step({ tool: "draw", axon, outer, width: widthOf("#sheath") });
    }
    this.refuse();
  }

  wheel(event) {
    event.preventDefault();
    if (this.proposal) {
      this.grow += event.deltaY < 0 ? 1 : -1;
      this.propose();
    } else this.viewer.wheel(event);
  }

  // Draw what is not accepted yet.
  show() {
    const shapes = [...(this.image.outline ?? []), ...this.corners.shapes];
    if (this.proposal) {
      for (const points of this.proposal.fiber) shapes.push({ points, color: "#ffb000", closed: true });
      for (const points of this.proposal.axon) shapes.push({ points, color: "#ffffff", closed: true });
    }
    if (this.axon) shapes.push({ points: this.axon, color: "#ffffff", closed: true });
    const painted = this.points.length ? this.points : this.hover ? [this.hover, this.hover] : [];
    if (this.paints) shapes.push({ points: painted, color: "#ffb000", width: widthOf("#brush") });
    else shapes.push({ points: this.points, color: "#ffb000", dash: true });
    this.viewer.shapes = shapes;
    this.viewer.redraw();
  }
}
