"use strict";
// The study: its images, the columns of all fibers one after the other, and what was decided on each.

const KEPT = 0; // not decided
const CONFIRMED = 1; // looked at and kept
const EXCLUDED = 2;

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

class Study {
  constructor(facts) {
    this.facts = facts;
    this.images = facts.images;
    this.columns = {};
    for (const [name, text] of Object.entries(facts.columns)) {
      this.columns[name] = new Float64Array(bytesOf(text).buffer);
    }
    this.count = this.columns.fiber.length;
    this.imageOf = new Uint32Array(this.count);
    this.images.forEach((image, index) => this.imageOf.fill(index, image.first, image.first + image.count));
    this.takeTables();
  }

  // Set what the tables say, as if nothing had been decided here.
  takeTables() {
    this.state = new Uint8Array(this.count);
    this.reason = new Array(this.count).fill("");
    for (const [fiber, reason] of this.facts.excluded) {
      this.state[fiber] = EXCLUDED;
      this.reason[fiber] = reason;
    }
    this.tables = this.state.slice();
  }

  // Whether the fiber enters statistics of size.
  whole(fiber) {
    return this.state[fiber] !== EXCLUDED && !this.columns.touches_border[fiber];
  }

  // Fibers whose state the tables do not know yet.
  pending() {
    let count = 0;
    for (let i = 0; i < this.count; i++) count += (this.state[i] === EXCLUDED) !== (this.tables[i] === EXCLUDED);
    return count;
  }

  // A name for a fiber that outlives new numbers.
  place(fiber) {
    return `${this.columns.x_px[fiber].toFixed(1)},${this.columns.y_px[fiber].toFixed(1)}`;
  }

  find(image, number) {
    const { first, count } = this.images[image];
    for (let i = first; i < first + count; i++) if (this.columns.fiber[i] === number) return i;
    return -1;
  }
}
