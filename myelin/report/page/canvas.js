// The canvas of the report and of the window: an image that is panned and zoomed, with texts on it.
// A subclass draws the image itself, in drawPicture(). Places are in pixels of the image, `zoom` in CSS pixels of each.

export class ZoomCanvas {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.view = null; // at least {rows, cols}
    this.overlay = true;
    this.labels = () => []; // texts {x, y, text} at pixels of the image
    this.font = "12px system-ui";
    this.frames = 0;
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  resize() {
    const ratio = window.devicePixelRatio || 1, { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth) return;
    const first = !this.width;
    [this.width, this.height, this.ratio] = [clientWidth, clientHeight, ratio];
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    if (first) this.fit();
    this.redraw();
  }

  fit() {
    if (!this.view || !this.width) return;
    const { rows, cols } = this.view;
    this.zoom = Math.min(this.width / cols, this.height / rows) * 0.98;
    this.x = cols / 2;
    this.y = rows / 2;
    this.redraw();
  }

  // Viewport coordinates of the middle of an image pixel, and back.
  pageOf(x, y) {
    const box = this.canvas.getBoundingClientRect(), [left, top] = this.place(x + 0.5, y + 0.5);
    return { x: box.left + left, y: box.top + top };
  }
  place(x, y) { return [(x - this.x) * this.zoom + this.width / 2, (y - this.y) * this.zoom + this.height / 2]; }
  pixel(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      (event.clientX - box.left - this.width / 2) / this.zoom + this.x,
      (event.clientY - box.top - this.height / 2) / this.zoom + this.y,
    ];
  }

  pan(dx, dy) {
    this.x = Math.min(Math.max(this.x - dx / this.zoom, 0), this.view.cols);
    this.y = Math.min(Math.max(this.y - dy / this.zoom, 0), this.view.rows);
    this.redraw();
  }

  zoomAt(factor, left = this.width / 2, top = this.height / 2) {
    const least = Math.min(this.width / this.view.cols, this.height / this.view.rows) / 4;
    const zoom = Math.min(Math.max(this.zoom * factor, least), 40);
    this.x += (left - this.width / 2) * (1 / this.zoom - 1 / zoom);
    this.y += (top - this.height / 2) * (1 / this.zoom - 1 / zoom);
    this.zoom = zoom;
    this.redraw();
  }

  wheel(event) {
    const box = this.canvas.getBoundingClientRect();
    this.zoomAt(1.2 ** (-event.deltaY / 100), event.clientX - box.left, event.clientY - box.top);
  }

  goTo(x, y, zoom) {
    [this.x, this.y] = [x, y];
    if (zoom) this.zoom = Math.max(this.zoom, zoom);
    this.redraw();
  }

  redraw() {
    if (this.asked || !this.view || !this.width || !this.zoom) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  draw() {
    const { context, ratio } = this;
    this.frames += 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#24292f";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.drawPicture();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.drawLabels();
  }

  drawLabels() {
    const { context } = this;
    context.font = this.font;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 3;
    for (const { x, y, text } of this.labels()) {
      const [left, top] = this.place(x + 0.5, y + 0.5);
      if (left < 0 || top < 0 || left > this.width || top > this.height) continue;
      context.strokeStyle = "#000";
      context.strokeText(text, left, top);
      context.fillStyle = "#fff";
      context.fillText(text, left, top);
    }
  }
}
