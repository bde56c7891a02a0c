// The image with its fibers, coloured by their state; each fiber is a path of sheath and axon.

const STATES = { whole: "", border: "", doubtful: "?", kept: "✓", excluded: "×" }; // signs besides the colours
const CLICK_PX = 4; // a pointer that moved less has clicked
const TINT = 0.47; // opacity of the colour on sheaths

class FiberCanvas extends ZoomCanvas {
  // `stateOf` gives a fiber's name in STATES.
  constructor(canvas, study, stateOf) {
    super(canvas);
    Object.assign(this, { study, stateOf });
    this.index = -1;
    this.chosen = -1;
    this.font = "bold 16px system-ui";
    this.labels = () => (this.overlay ? this.signs() : []);
    const colours = getComputedStyle(document.documentElement);
    this.colours = Object.fromEntries(Object.keys(STATES).map((name) => [name, colours.getPropertyValue(`--${name}`)]));
  }

  // Show an image, whole, and return once it is decoded.
  async show(index) {
    this.wanted = index;
    const stored = JSON.parse(document.getElementById(`picture-${index}`).textContent);
    const picture = Object.assign(new Image(), { src: stored.picture });
    await picture.decode();
    if (this.wanted !== index) return; // another image was requested meanwhile
    Object.assign(this, { index, picture, boxes: stored.boxes, view: this.study.images[index], chosen: -1 });
    this.scale = stored.width / this.view.cols; // pixels of the picture per pixel of the image
    this.paths = stored.fibers.map((path) => new Path2D(path));
    this.layer = Object.assign(document.createElement("canvas"), { width: stored.width, height: stored.height });
    this.paint = this.layer.getContext("2d");
    this.fill(new Path2D(stored.outside), "#000000");
    this.colour(this.paths.map((_, place) => this.view.first + place));
    this.fit();
  }

  // Colour some fibers anew; those of other images are ignored.
  colour(fibers) {
    for (const fiber of fibers) {
      const path = this.pathOf(fiber);
      if (path) this.fill(path, this.colours[this.stateOf(fiber)]);
    }
    this.redraw();
  }

  fill(path, colour) {
    Object.assign(this.paint, { globalCompositeOperation: "destination-out", globalAlpha: 1 });
    this.paint.fill(path, "evenodd");
    Object.assign(this.paint, { globalCompositeOperation: "source-over", globalAlpha: TINT, fillStyle: colour });
    this.paint.fill(path, "evenodd");
  }

  pathOf(fiber) { return this.view && this.paths[fiber - this.view.first]; }

  choose(fiber) {
    this.chosen = fiber;
    this.redraw();
  }

  // Bring a fiber of this image into view, large enough to judge.
  bring(fiber) {
    const [left, top, width, height] = this.boxes[fiber - this.view.first], size = Math.max(width, height, 8);
    const zoom = 0.12 * Math.min(this.width, this.height) / size * this.scale;
    this.goTo((left + width / 2) / this.scale, (top + height / 2) / this.scale, zoom);
  }

  drawPicture() {
    const { context: c, picture, layer, scale } = this, unit = this.zoom * this.ratio / scale;
    const left = this.canvas.width / 2 - this.x * scale * unit, top = this.canvas.height / 2 - this.y * scale * unit;
    c.setTransform(unit, 0, 0, unit, left, top);
    c.imageSmoothingEnabled = unit < 2;
    c.drawImage(picture, 0, 0);
    if (this.overlay) c.drawImage(layer, 0, 0);
    const path = this.pathOf(this.chosen);
    if (!path) return;
    for (const [colour, width] of [["#000000", 4], ["#ffffff", 2]]) {
      Object.assign(c, { strokeStyle: colour, lineWidth: width * this.ratio / unit });
      c.stroke(path);
    }
  }

  // Signs of excluded, kept and doubtful fibers.
  signs() {
    const { first, count } = this.view, { x_px: xs, y_px: ys } = this.study.columns, found = [];
    for (let i = first; i < first + count; i++) {
      const text = STATES[this.stateOf(i)];
      if (text) found.push({ x: xs[i], y: ys[i], text });
    }
    return found;
  }

  // The fiber under the pointer; -1 if there is none.
  fiberAt(event) {
    if (!this.view) return -1;
    const [x, y] = this.pixel(event).map((value) => value * this.scale);
    const inside = ([left, top, width, height], place) => x >= left && y >= top && x < left + width && y < top + height
      && this.paint.isPointInPath(this.paths[place], x, y);
    const place = this.boxes.findIndex(inside);
    return place < 0 ? -1 : this.view.first + place;
  }

  // Pan and zoom; `point` and `click` get the fiber under the pointer.
  listen(point, click) {
    let drag = null;
    const on = (name, action) => this.canvas.addEventListener(name, action);
    on("pointerdown", (event) => {
      if (event.button) return;
      drag = { x: event.clientX, y: event.clientY, moved: false };
      this.canvas.setPointerCapture(event.pointerId);
    });
    on("pointermove", (event) => {
      if (!drag) return point(this.fiberAt(event), event);
      const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
      drag.moved ||= Math.hypot(dx, dy) >= CLICK_PX;
      if (!drag.moved || !this.view) return;
      this.pan(dx, dy);
      [drag.x, drag.y] = [event.clientX, event.clientY];
    });
    on("pointerup", (event) => {
      if (drag && !drag.moved) click(this.fiberAt(event));
      drag = null;
    });
    on("pointercancel", () => (drag = null));
    on("pointerleave", () => point(-1));
    this.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.wheel(event);
    }, { passive: false });
  }
}
