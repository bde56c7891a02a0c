// The corners of the nerve's outlines: chosen, moved, added on a line, deleted.

const NEAR_PX = 8;
const EDGE = "#56b4e9";

export class Corners {
  constructor(viewer) {
    this.viewer = viewer;
    this.show([]);
  }

  // Show outlines, each the number of its fascicle and its corners.
  show(outlines) {
    this.outlines = outlines.map(([, points]) => points);
    this.chosen = null; // the outline and the corner of it
  }

  // Choose the corner at a place, or make one on the line there; return whether there is one.
  choose(place) {
    const near = NEAR_PX / this.viewer.zoom;
    this.chosen = null;
    for (const [outline, points] of this.outlines.entries()) {
      let corner = points.findIndex((point) => distance(point, place) < near);
      if (corner < 0) {
        corner = points.findIndex((point, index) => toLine(place, points.at(index - 1), point) < near);
        if (corner >= 0) points.splice(corner, 0, place);
      }
      if (corner >= 0) return Boolean(this.chosen = { outline, corner });
    }
    return false;
  }

  move(place) { this.outlines[this.chosen.outline][this.chosen.corner] = place; }

  // Delete the chosen corner; return whether it could be: an outline has three.
  delete() {
    const points = this.outlines[this.chosen.outline];
    return points.length > 3 && points.splice(this.chosen.corner, 1).length > 0;
  }

  // The step that keeps the outline of the chosen corner as it is now.
  get step() {
    const { outline } = this.chosen;
    return { tool: "nerve", outline, points: this.outlines[outline] };
  }

  get shapes() {
    return this.outlines.map((points, outline) => ({ points, color: EDGE, closed: true, corners: true,
      chosen: this.chosen?.outline === outline ? this.chosen.corner : -1 }));
  }
}

const distance = ([x, y], [x2, y2]) => Math.hypot(x - x2, y - y2);

// The distance of a place from a line between two points.
function toLine(place, [x, y], [x2, y2]) {
  const [dx, dy] = [x2 - x, y2 - y], part = ((place[0] - x) * dx + (place[1] - y) * dy) / (dx ** 2 + dy ** 2 || 1);
  const along = Math.min(Math.max(part, 0), 1);
  return distance(place, [x + along * dx, y + along * dy]);
}
