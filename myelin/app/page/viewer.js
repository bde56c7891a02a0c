// The window's canvas: tiles of the image and of its fibers, loaded as they come into view; outlines on top.

import { $, begin, end, url } from "/page/api.js";
import { ZoomCanvas } from "/page/canvas.js";

const MAX_TILES = 400;
const MAX_LOADING = 6;

export class Viewer extends ZoomCanvas {
  constructor(canvas) {
    super(canvas);
    this.tiles = new Map();
    this.queue = [];
    this.loading = 0;
    this.mode = "state";
    this.shapes = []; // {points, color, closed, dash}
    this.cross = false;
  }

  // Show an image as the server describes it; the same one keeps its place.
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

  drawPicture() {
    const { view, ratio } = this;
    const level = Math.min(Math.max(Math.floor(-Math.log2(this.zoom * ratio) + 0.3), 0), view.levels - 1);
    this.queue = [];
    this.drawLayer("image", level);
    if ($("#overlay").checked && view.segmented) this.drawLayer("overlay", level);
    while (this.loading < MAX_LOADING && this.queue.length) this.fetch(this.queue.shift());
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const shape of this.shapes) this.drawShape(shape);
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

  drawCross() {
    const { x, y } = this, arm = 9 / this.zoom;
    this.drawShape({ points: [[x - arm, y], [x + arm, y]], color: "#ffb000" });
    this.drawShape({ points: [[x, y - arm], [x, y + arm]], color: "#ffb000" });
  }
}
