// g-ratio against axon diameter: a dot for each fiber, from numbers that Python measured.

const EDGE = { left: 34, right: 10, top: 8, bottom: 34 };
const DOT_REACH_PX = 12; // distance of a click from the dot that it chooses

export class Scatter {
  // `choose` gets the id of the dot that was clicked.
  constructor(canvas, choose) {
    this.canvas = canvas;
    this.points = [];
    canvas.addEventListener("click", (event) => {
      const place = this.nearest(event.offsetX, event.offsetY);
      if (place) choose(place.id);
    });
  }

  // Draw points {id, x, y, color}, with x in µm and y from 0 to 1, and mark the one with the id `chosen`.
  draw(points, chosen) {
    const { canvas } = this, { clientWidth: width, clientHeight: height } = canvas;
    const ratio = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    const context = canvas.getContext("2d"), bottom = height - EDGE.bottom;
    const largest = points.reduce((most, { x }) => Math.max(most, x), 0) || 1;
    const power = 10 ** Math.floor(Math.log10(largest));
    const step = [0.2, 0.5, 1, 2].map((part) => part * power).find((one) => largest / one < 6);
    const left = (x) => EDGE.left + (x / largest) * (width - EDGE.left - EDGE.right);
    const top = (y) => bottom - y * (bottom - EDGE.top);
    context.scale(ratio, ratio);
    context.font = "12px system-ui";
    context.textAlign = "center";
    context.fillStyle = context.strokeStyle = "#57606a";
    context.strokeRect(EDGE.left, EDGE.top, width - EDGE.left - EDGE.right, bottom - EDGE.top);
    for (let x = 0; x <= largest; x += step) context.fillText(Number(x.toPrecision(6)), left(x), bottom + 14);
    context.fillText("axon diameter (µm)", width / 2, height - 4);
    for (const y of [0, 0.5]) context.fillText(y, EDGE.left - 14, top(y) + 4);
    context.fillText("g 1", EDGE.left - 16, top(1) + 6);
    this.points = points.map((point) => ({ ...point, left: left(point.x), top: top(point.y) }));
    for (const point of this.points) this.dot(context, point, 3);
    for (const point of this.points.filter(({ id }) => id === chosen)) {
      this.dot(context, { ...point, color: "#000000" }, 10);
      this.dot(context, { ...point, color: "#ffb000" }, 7);
    }
  }

  dot(context, { left, top, color }, side) {
    context.fillStyle = color;
    context.fillRect(left - side / 2, top - side / 2, side, side);
  }

  // The point nearest to a place of the canvas; none if all are far.
  nearest(left, top) {
    const distance = (point) => Math.hypot(point.left - left, point.top - top);
    const near = this.points.filter((point) => distance(point) < DOT_REACH_PX);
    return near.sort((one, other) => distance(one) - distance(other))[0];
  }
}
