// The canvas: tiles of the image and of its fibers, panned and zoomed; outlines drawn on top.

import { begin, end, url } from "/page/api.js";

const MAX_TILES = 400;
const MAX_LOADING = 6;

export class Viewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.view = null; // what the server says of the image
    this.tiles = new Map();
    this.queue = [];
    this.loading = 0;
    this.overlay = true;
    this.mode = "state";
    this.shapes = []; // {points, color, closed, dash}
    this.labels = () => [];
    this.cross = false;
    this.frames = 0;
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  // Show an image; the same one keeps its place.
  show(view) {
    const other = !this.view || this.view.id !== view.id;
    this.view = view;
    if (other) {
      this.tiles.clear();
      this.queue = [];
      this.fit();
    }
    this.redraw();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1, { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth) return;
    const first = !this.width;
    [this.width, this.height, this.ratio] = [clientWidth, clientHeight, ratio];
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    if (this.view && first) this.fit();
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

  goTo(x, y, zoom) {
    [this.x, this.y] = [x, y];
    if (zoom) this.zoom = Math.max(this.zoom, zoom);
    this.redraw();
  }

  redraw() {
    if (this.asked || !this.view || !this.width || !this.zoom) return;
    this.asked = true;
    begin();
    requestAnimationFrame(() => {
      this.asked = false;
      end();
      this.draw();
    });
  }

  draw() {
    const { context, ratio, view } = this;
    this.frames += 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#24292f";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    const level = Math.min(Math.max(Math.floor(-Math.log2(this.zoom * ratio) + 0.3), 0), view.levels - 1);
    this.queue = [];
    this.drawLayer("image", level);
    if (this.overlay && view.segmented) this.drawLayer("overlay", level);
    while (this.loading < MAX_LOADING && this.queue.length) this.fetch(this.queue.shift());
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const shape of this.shapes) this.drawShape(shape);
    this.drawLabels();
    if (this.cross) this.drawCross();
  }

  drawLayer(kind, level) {
    const { context, view, ratio } = this, size = view.tile * 2 ** level;
    const scale = this.zoom * ratio;
    const left = this.canvas.width / 2 - this.x * scale, top = this.canvas.height / 2 - this.y * scale;
    context.imageSmoothingEnabled = scale * 2 ** level < 1;
    const range = (offset, length, pixels) => [
      Math.max(Math.floor(-offset / scale / size), 0),
      Math.min(Math.ceil((pixels - offset) / scale / size), Math.ceil(length / size)),
    ];
    const [x0, x1] = range(left, view.cols, this.canvas.width);
    const [y0, y1] = range(top, view.rows, this.canvas.height);
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) this.drawTile(kind, level, x, y, left, top, scale);
    }
  }

  // Draw a tile; while it is loaded, its part of a coarser one.
  drawTile(kind, level, x, y, left, top, scale) {
    const { cols, rows, levels, tile } = this.view, size = tile * 2 ** level;
    let { picture } = this.tile(kind, level, x, y), up = 0;
    while (!picture && level + ++up < levels) {
      picture = this.tiles.get(this.key(kind, level + up, x >> up, y >> up))?.picture;
    }
    if (!picture) return;
    const part = tile / 2 ** up, fromX = (x % 2 ** up) * part, fromY = (y % 2 ** up) * part;
    const x0 = Math.round(left + x * size * scale), x1 = Math.round(left + Math.min((x + 1) * size, cols) * scale);
    const y0 = Math.round(top + y * size * scale), y1 = Math.round(top + Math.min((y + 1) * size, rows) * scale);
    const width = Math.min(part, picture.width - fromX), height = Math.min(part, picture.height - fromY);
    this.context.drawImage(picture, fromX, fromY, width, height, x0, y0, x1 - x0, y1 - y0);
  }

  key(kind, level, x, y) { return `${kind} ${kind === "overlay" ? this.mode : ""} ${level} ${x} ${y}`; }

  tile(kind, level, x, y) {
    const key = this.key(kind, level, x, y), version = kind === "image" ? 0 : this.view.version;
    let tile = this.tiles.get(key);
    if (!tile) this.tiles.set(key, (tile = { version: -1, picture: null, wanted: -1 }));
    if (tile.version !== version && tile.wanted !== version) {
      this.queue.push({ tile, version, query: { id: this.view.id, kind, level, x, y, mode: this.mode, version } });
    }
    return tile;
  }

  async fetch({ tile, version, query }) {
    const { view } = this;
    tile.wanted = version;
    this.loading += 1;
    begin();
    try {
      const response = await fetch(url("tile", query));
      if (!response.ok) throw new Error("tile");
      const picture = await createImageBitmap(await response.blob());
      if (this.view.id === view.id && tile.wanted === version) {
        if (tile.picture) tile.picture.close();
        Object.assign(tile, { picture, version });
      }
    } catch {
      setTimeout(() => { tile.wanted = -1; this.redraw(); }, 1000); // the server may be back then
    }
    this.loading -= 1;
    while (this.tiles.size > MAX_TILES) this.tiles.delete(this.tiles.keys().next().value);
    this.redraw();
    end();
  }

  drawShape({ points, color, closed, dash, corners, chosen, width: pixels }) {
    const { context } = this;
    context.beginPath();
    for (const [x, y] of points) context.lineTo(...this.place(x, y));
    if (closed) context.closePath();
    if (pixels) { // of the brush
      Object.assign(context, { globalAlpha: 0.5, lineCap: "round", lineJoin: "round", strokeStyle: color });
      context.lineWidth = pixels * this.zoom;
      context.stroke();
      context.globalAlpha = 1;
      return;
    }
    for (const [style, width] of [["#000", 3.5], [color, 1.8]]) {
      context.setLineDash(dash ? [6, 4] : []);
      [context.strokeStyle, context.lineWidth] = [style, width];
      context.stroke();
    }
    context.setLineDash([]);
    if (!corners) return;
    points.forEach(([x, y], index) => {
      const [left, top] = this.place(x, y);
      context.fillStyle = index === chosen ? "#ffb000" : "#fff";
      context.fillRect(left - 4, top - 4, 8, 8);
      context.strokeRect(left - 4, top - 4, 8, 8);
    });
  }

  drawLabels() {
    const { context } = this;
    context.font = "12px system-ui";
    context.textAlign = "center";
    context.lineWidth = 3;
    for (const { x, y, text } of this.labels()) {
      const [left, top] = this.place(x + 0.5, y + 0.5);
      if (left < 0 || top < 0 || left > this.width || top > this.height) continue;
      context.strokeStyle = "#000";
      context.strokeText(text, left, top + 4);
      context.fillStyle = "#fff";
      context.fillText(text, left, top + 4);
    }
  }

  drawCross() {
    const { x, y } = this, arm = 9 / this.zoom;
    this.drawShape({ points: [[x - arm, y], [x + arm, y]], color: "#ffb000" });
    this.drawShape({ points: [[x, y - arm], [x, y + arm]], color: "#ffb000" });
  }
}
