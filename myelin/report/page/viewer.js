// The image: zoom, move, point at fibers.

const KEPT_SCENES = 3; // decoded images in memory
const CLICK_PX = 4; // a pointer that moved less has clicked

class Viewer {
  // `kindOf` gives a fiber's name in COLOURS; `events` are point(fiber), click(fiber) and shown(index).
  constructor(box, study, kindOf, events) {
    Object.assign(this, { box, study, kindOf, events });
    this.canvas = box.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.scenes = new Map();
    this.index = -1;
    this.current = -1;
    this.coloured = true;
    new ResizeObserver(() => this.resize()).observe(box);
    this.listen();
  }

  // Show an image, whole, and return once it is drawn.
  async show(index) {
    this.wanted = index;
    let scene = this.scenes.get(index);
    if (!scene) scene = await Scene.load(this.study.images[index], index);
    if (this.wanted !== index) return; // another image was requested meanwhile
    this.scenes.delete(index);
    this.scenes.set(index, scene);
    for (const old of this.scenes.keys()) if (this.scenes.size > KEPT_SCENES) this.scenes.delete(old);
    this.index = index;
    this.scene = scene;
    scene.paintAll(this.kindOf);
    this.choose(-1);
    this.fit();
    this.events.shown(index);
  }

  resize() {
    const ratio = window.devicePixelRatio || 1, whole = this.view && this.view.whole;
    this.canvas.width = Math.max(1, Math.round(this.box.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.box.clientHeight * ratio));
    if (whole || !this.view) this.fit();
    else this.draw();
  }

  fit() {
    if (!this.scene) return;
    const { width, height } = this.scene;
    const zoom = Math.min(this.canvas.width / width, this.canvas.height / height);
    this.view = { zoom, x: width / 2, y: height / 2, whole: true };
    this.draw();
  }

  // Zoom by a factor about a point of the canvas, its middle by default.
  zoom(factor, px = this.canvas.width / 2, py = this.canvas.height / 2) {
    if (!this.scene) return;
    const [x, y] = this.toScene(px, py), least = 0.5 * Math.min(this.canvas.width / this.scene.width, 1);
    const zoom = Math.min(Math.max(this.view.zoom * factor, least), 64);
    this.view = {
      zoom, whole: false, x: x - (px - this.canvas.width / 2) / zoom, y: y - (py - this.canvas.height / 2) / zoom,
    };
    this.draw();
  }

  move(dx, dy) {
    const { zoom, x, y } = this.view;
    this.view = { zoom, whole: false, x: x - dx / zoom, y: y - dy / zoom };
    this.draw();
  }

  // Scroll the page to the image if less than half of it is visible.
  reveal() {
    const { top, bottom } = this.box.getBoundingClientRect(), middle = (top + bottom) / 2;
    const header = document.querySelector("header").offsetHeight;
    if (middle < header || middle > window.innerHeight) this.box.scrollIntoView({ block: "nearest" });
  }

  // Bring a fiber of this image into view, large enough to judge.
  bring(fiber) {
    const [left, top, right, bottom] = this.scene.box(fiber), size = Math.max(right - left, bottom - top, 8);
    const room = Math.min(this.canvas.width, this.canvas.height);
    const zoom = Math.min(Math.max(this.view.zoom, 0.15 * room / size), 0.5 * room / size);
    const x = (left + right + 1) / 2, y = (top + bottom + 1) / 2;
    const off = Math.max(Math.abs(x - this.view.x), Math.abs(y - this.view.y)) + size / 2;
    if (zoom === this.view.zoom && off * zoom < room / 2) return; // it is in view
    this.view = { zoom, x, y, whole: false };
  }

  toScene(px, py) {
    const { zoom, x, y } = this.view;
    return [(px - this.canvas.width / 2) / zoom + x, (py - this.canvas.height / 2) / zoom + y];
  }

  // The place of a fiber's axon on the canvas.
  placeOf(fiber) {
    const { zoom, x, y } = this.view, { x_px: xs, y_px: ys } = this.study.columns, { scale } = this.scene;
    return [
      ((xs[fiber] + 0.5) * scale - x) * zoom + this.canvas.width / 2,
      ((ys[fiber] + 0.5) * scale - y) * zoom + this.canvas.height / 2,
    ];
  }

  choose(fiber) {
    if (fiber === this.current && this.path) return;
    this.current = fiber;
    this.path = fiber >= 0 ? this.scene.outline(fiber) : null;
    this.draw();
  }

  // Colour some fibers of this image; all without a list.
  refresh(fibers) {
    if (!this.scene) return;
    if (!fibers || fibers.length > 20) this.scene.paintAll(this.kindOf);
    else for (const i of fibers) if (this.study.imageOf[i] === this.index) this.scene.paint(i, this.kindOf(i));
    this.draw();
  }

  draw() {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => {
      this.queued = false;
      if (this.scene) this.drawNow();
    });
  }

  drawNow() {
    const { context: c, canvas, view, scene } = this;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(0, 0, canvas.width, canvas.height);
    c.translate(canvas.width / 2, canvas.height / 2);
    c.scale(view.zoom, view.zoom);
    c.translate(-view.x, -view.y);
    c.imageSmoothingEnabled = view.zoom < 2;
    c.drawImage(scene.picture, 0, 0, scene.width, scene.height);
    if (this.coloured) c.drawImage(scene.layer, 0, 0);
    if (this.path) this.drawOutline(1 / view.zoom);
    c.setTransform(1, 0, 0, 1, 0, 0);
    if (this.coloured) this.drawMarks();
  }

  drawOutline(unit) {
    const c = this.context, ratio = window.devicePixelRatio || 1;
    for (const [colour, width] of [["#000000", 5], ["#ffffff", 2.5]]) {
      c.strokeStyle = colour;
      c.lineWidth = width * ratio * unit;
      c.lineCap = "square";
      c.stroke(this.path);
    }
  }

  // Mark excluded fibers with a cross and doubtful ones with a question mark, besides the colour.
  drawMarks() {
    const c = this.context, size = 5 * (window.devicePixelRatio || 1), { first, count } = this.scene.image;
    c.font = `bold ${2.6 * size}px sans-serif`;
    c.textAlign = "center";
    c.textBaseline = "middle";
    for (let i = first; i < first + count; i++) {
      const kind = this.kindOf(i);
      if (kind !== "excluded" && kind !== "doubtful") continue;
      const [x, y] = this.placeOf(i);
      if (x < 0 || y < 0 || x > this.canvas.width || y > this.canvas.height) continue;
      for (const [colour, width] of [["#000000", 0.8 * size], ["#ffffff", 0.35 * size]]) {
        c.strokeStyle = c.fillStyle = colour;
        c.lineWidth = width;
        if (kind === "excluded") {
          c.beginPath();
          c.moveTo(x - size, y - size); c.lineTo(x + size, y + size);
          c.moveTo(x - size, y + size); c.lineTo(x + size, y - size);
          c.stroke();
        } else if (colour === "#000000") c.strokeText("?", x, y);
        else c.fillText("?", x, y);
      }
    }
  }

  // Where the pointer is, in pixels of the canvas.
  pointer(event) {
    const frame = this.canvas.getBoundingClientRect(), ratio = this.canvas.width / frame.width;
    return [(event.clientX - frame.left) * ratio, (event.clientY - frame.top) * ratio];
  }

  fiberAt(event) {
    return this.scene ? this.scene.fiberAt(...this.toScene(...this.pointer(event))) : -1;
  }

  listen() {
    let drag = null;
    this.box.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      drag = { x: event.clientX, y: event.clientY, moved: false };
      this.box.setPointerCapture(event.pointerId);
    });
    this.box.addEventListener("pointermove", (event) => {
      if (!drag) return this.events.point(this.fiberAt(event), event);
      const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
      drag.moved ||= Math.hypot(dx, dy) >= CLICK_PX;
      if (!drag.moved || !this.scene) return;
      const ratio = this.canvas.width / this.box.clientWidth;
      this.move(dx * ratio, dy * ratio);
      [drag.x, drag.y] = [event.clientX, event.clientY];
    });
    this.box.addEventListener("pointerup", (event) => {
      if (drag && !drag.moved) this.events.click(this.fiberAt(event));
      drag = null;
    });
    this.box.addEventListener("pointercancel", () => { drag = null; });
    this.box.addEventListener("pointerleave", () => this.events.point(-1));
    this.box.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...this.pointer(event));
    }, { passive: false });
  }
}
