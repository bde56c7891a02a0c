// Plots on canvases: g-ratio against axon diameter, histograms, animals by group.

const DOT = [0, 114, 178]; // darker than in the image, for a white background
const GROUP_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];
const CELL = 12; // px; side of the squares that group dots by place
const MARGIN = { left: 74, right: 12, top: 12, bottom: 40 };

// Steps of 1, 2 or 5 times a power of ten, about `count` of them.
function niceStep(span, count) {
  const power = 10 ** Math.floor(Math.log10(span / count));
  return power * [1, 2, 5, 10].find((step) => step * power * count >= span * 0.999);
}

// A canvas with axes.
class Panel {
  constructor(canvas) {
    this.canvas = canvas;
    this.ratio = window.devicePixelRatio || 1;
    this.width = canvas.clientWidth;
    this.height = canvas.clientHeight;
    canvas.width = Math.max(1, Math.round(this.width * this.ratio));
    canvas.height = Math.max(1, Math.round(this.height * this.ratio));
    this.c = canvas.getContext("2d");
    this.c.scale(this.ratio, this.ratio);
    this.c.font = "12px system-ui, sans-serif";
    const { left, right, top, bottom } = MARGIN;
    this.frame = { left, top, right: this.width - right, bottom: this.height - bottom };
  }

  // Set the numbers at the ends of both axes; null for an axis without numbers.
  setRanges(xRange, yRange) {
    Object.assign(this, { xRange, yRange });
  }

  axes(xLabel, yLabel) {
    const { c, frame, xRange, yRange } = this;
    c.fillStyle = c.strokeStyle = "#1a1a1a";
    c.textAlign = "center";
    c.textBaseline = "top";
    if (xRange) for (const value of this.ticks(xRange, 6)) c.fillText(String(value), this.x(value), frame.bottom + 6);
    c.fillText(xLabel, (frame.left + frame.right) / 2, frame.bottom + 22);
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const value of this.ticks(yRange, 5)) {
      c.fillText(value.toLocaleString("en"), frame.left - 6, this.y(value));
      c.fillRect(frame.left - 4, this.y(value), 4, 1);
    }
    c.save();
    c.translate(frame.left - MARGIN.left + 10, (frame.top + frame.bottom) / 2);
    c.rotate(-Math.PI / 2);
    c.textAlign = "center";
    c.fillText(yLabel, 0, 0);
    c.restore();
    c.fillRect(frame.left, frame.top, 1, frame.bottom - frame.top);
    c.fillRect(frame.left, frame.bottom, frame.right - frame.left, 1);
  }

  ticks([low, high], count) {
    const step = niceStep(high - low, count), found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-6; i++) {
      found.push(Number((i * step).toPrecision(12))); // 0.6, not 0.6000000000000001
    }
    return found;
  }

  x(value) {
    const { left, right } = this.frame, [low, high] = this.xRange;
    return left + (right - left) * (value - low) / (high - low);
  }

  y(value) {
    const { top, bottom } = this.frame, [low, high] = this.yRange;
    return bottom - (bottom - top) * (value - low) / (high - low);
  }

  describe(text) {
    this.canvas.setAttribute("aria-label", text);
  }
}

// Dots, set pixel by pixel: drawing twenty thousand circles would take too long.
class Dots {
  constructor(panel, expected) {
    Object.assign(this, { panel, count: 0, excluded: [] });
    const size = Math.min(Math.max(120 / Math.sqrt(expected), 2.5), 6); // larger if there are few
    this.data = new ImageData(panel.canvas.width, panel.canvas.height);
    this.pixels = new Uint32Array(this.data.data.buffer);
    this.side = Math.round(size * panel.ratio);
    this.colours = {};
    for (const kind of Object.keys(COLOURS)) this.colours[kind] = pixel(kind === "whole" ? DOT : COLOURS[kind], 255);
  }

  add(x, y, kind) {
    const column = Math.round(x * this.panel.ratio), row = Math.round(y * this.panel.ratio);
    if (kind === "excluded") this.excluded.push(column, row);
    else this.square(column - (this.side >> 1), row - (this.side >> 1), this.side, this.colours[kind]);
    this.count += kind !== "excluded";
  }

  square(left, top, side, colour) {
    for (let y = top; y < top + side; y++) {
      const start = y * this.data.width + left;
      this.pixels.fill(colour, start, start + side);
    }
  }

  put() {
    const arm = Math.round(3 * this.panel.ratio), side = Math.max(1, Math.round(1.5 * this.panel.ratio));
    for (let i = 0; i < this.excluded.length; i += 2) {
      for (let step = -arm; step <= arm; step++) {
        this.square(this.excluded[i] + step, this.excluded[i + 1] + step, side, this.colours.excluded);
        this.square(this.excluded[i] + step, this.excluded[i + 1] - step, side, this.colours.excluded);
      }
    }
    this.panel.c.putImageData(this.data, 0, 0);
  }
}

// g-ratio against axon diameter; each dot knows its fiber.
class Scatter {
  // `events` are point(fiber) and click(fiber).
  constructor(canvas, study, kindOf, events) {
    Object.assign(this, { canvas, study, kindOf });
    this.current = -1;
    this.cells = new Map();
    canvas.addEventListener("pointermove", (event) => events.point(this.fiberAt(event)));
    canvas.addEventListener("pointerleave", () => events.point(-1));
    canvas.addEventListener("click", (event) => events.click(this.fiberAt(event)));
  }

  draw(images) {
    const { axon_diameter_um: diameters, g_ratio: ratios, touches_border: touches } = this.study.columns;
    const panel = this.panel = new Panel(this.canvas);
    let largest = 0;
    for (const { first, count } of images) {
      for (let i = first; i < first + count; i++) largest = Math.max(largest, diameters[i]);
    }
    panel.setRanges([0, largest * 1.03 || 1], [0, 1]);
    const dots = new Dots(panel, images.reduce((sum, { count }) => sum + count, 1));
    this.cells = new Map();
    for (const { first, count } of images) {
      for (let i = first; i < first + count; i++) {
        if (touches[i]) continue;
        const x = panel.x(diameters[i]), y = panel.y(ratios[i]);
        this.keep(i, x, y);
        dots.add(x, y, this.kindOf(i));
      }
    }
    dots.put();
    panel.axes("axon diameter (µm)", "g-ratio");
    const crosses = dots.excluded.length / 2;
    panel.describe(`g-ratio against axon diameter of ${dots.count} whole fibers; ${crosses} excluded ones are crosses`);
    this.base = canvasOf(this.canvas.width, this.canvas.height);
    this.base.getContext("2d").drawImage(this.canvas, 0, 0);
    this.mark(this.current);
  }

  keep(fiber, x, y) {
    const cell = Math.floor(x / CELL) * 4096 + Math.floor(y / CELL);
    const found = this.cells.get(cell);
    if (found) found.push(fiber, x, y);
    else this.cells.set(cell, [fiber, x, y]);
  }

  // The fiber of the nearest dot; -1 if none is near.
  fiberAt(event) {
    const frame = this.canvas.getBoundingClientRect(), px = event.clientX - frame.left, py = event.clientY - frame.top;
    let best = -1, least = CELL;
    for (let column = -1; column <= 1; column++) {
      for (let row = -1; row <= 1; row++) {
        const dots = this.cells.get((Math.floor(px / CELL) + column) * 4096 + Math.floor(py / CELL) + row) || [];
        for (let i = 0; i < dots.length; i += 3) {
          const distance = Math.hypot(dots[i + 1] - px, dots[i + 2] - py);
          if (distance < least) [best, least] = [dots[i], distance];
        }
      }
    }
    return best;
  }

  // Ring the dot of a fiber.
  mark(fiber) {
    this.current = fiber;
    if (!this.base) return;
    const { c } = this.panel, { axon_diameter_um: diameters, g_ratio: ratios } = this.study.columns;
    c.clearRect(0, 0, this.panel.width, this.panel.height);
    c.drawImage(this.base, 0, 0, this.panel.width, this.panel.height);
    if (fiber < 0 || diameters[fiber] > this.panel.xRange[1]) return;
    for (const [colour, width] of [["#000000", 4], ["#ffffff", 1.5]]) {
      c.strokeStyle = colour;
      c.lineWidth = width;
      c.beginPath();
      c.arc(this.panel.x(diameters[fiber]), this.panel.y(ratios[fiber]), 6, 0, 7);
      c.stroke();
    }
  }
}

// A histogram with round edges and its median.
function drawHistogram(canvas, values, label) {
  const panel = new Panel(canvas), { c, frame } = panel;
  const { median } = statistics(values), largest = values.reduce((a, b) => Math.max(a, b), 0) || 1;
  const step = niceStep(largest, 30), bins = new Array(Math.floor(largest / step + 1e-9) + 1).fill(0);
  for (const value of values) bins[Math.floor(value / step + 1e-9)] += 1;
  const highest = bins.reduce((a, b) => Math.max(a, b), 0);
  panel.setRanges([0, bins.length * step], [0, Math.max(highest * 1.12, 5)]);
  panel.axes(label, "fibers");
  c.fillStyle = "#0072b2";
  bins.forEach((n, i) => {
    c.fillRect(panel.x(i * step) + 0.5, panel.y(n), panel.x(step) - panel.x(0) - 1, frame.bottom - panel.y(n));
  });
  const text = median === null ? "no whole fiber" : `median ${median.toFixed(2)} µm`;
  if (median !== null) {
    c.fillStyle = "#d55e00";
    c.fillRect(panel.x(median) - 1, frame.top, 2, frame.bottom - frame.top);
  }
  c.fillStyle = "#1a1a1a";
  c.textAlign = "right";
  c.textBaseline = "top";
  c.fillText(text, frame.right, 0);
  panel.describe(`Histogram of ${label} of ${values.length} fibers, ${text}`);
}

const ANIMAL_PANELS = [
  ["fiber_density_per_mm2", "fibers per mm²"], ["axon_diameter_um_mean", "axon diameter (µm)"],
  ["myelin_thickness_um_mean", "myelin thickness (µm)"], ["g_ratio_mean", "g-ratio"],
];

// Four panels of animals by group.
function drawAnimals(canvas, groups) {
  const panel = new Panel(canvas), { width, height } = panel;
  ANIMAL_PANELS.forEach(([column, label], place) => {
    const left = (place % 2) * width / 2, top = Math.floor(place / 2) * height / 2;
    panel.frame = {
      left: left + MARGIN.left, top: top + MARGIN.top, right: left + width / 2 - 8, bottom: top + height / 2 - 32,
    };
    drawAnimalPanel(panel, groups, column, label);
  });
  panel.describe(`Animals of ${groups.length} groups; the numbers are in the table of groups`);
}

function drawAnimalPanel(panel, groups, column, label) {
  const { c, frame } = panel;
  const values = groups.flatMap((group) => group.animals.map((row) => row[column])).filter((value) => value !== null);
  panel.setRanges(null, [0, Math.max(...values, 0) * 1.15 || 1]);
  panel.axes("", label);
  c.textAlign = "center";
  groups.forEach((group, index) => {
    const x = frame.left + (frame.right - frame.left) * (index + 0.5) / groups.length;
    const shown = group.name.length > 14 ? `${group.name.slice(0, 13)}…` : group.name;
    c.fillStyle = "#1a1a1a";
    c.textBaseline = "top";
    c.fillText(shown, x, frame.bottom + 6, (frame.right - frame.left) / groups.length);
    const { mean } = group.spread[column];
    if (mean !== null) c.fillRect(x - 14, panel.y(mean) - 1, 28, 2);
    c.fillStyle = GROUP_COLOURS[index % GROUP_COLOURS.length];
    group.animals.forEach((row, i) => {
      if (row[column] === null) return;
      c.beginPath();
      c.arc(x + 5 * ((i % 5) - Math.min(2, (group.animals.length - 1) / 2)), panel.y(row[column]), 3.5, 0, 7);
      c.fill();
    });
  });
}
