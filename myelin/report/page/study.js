"use strict";
// The study: its images, the columns of all fibers in one array each, and the decision on each fiber.

const KEPT = 0; // without a decision
const CONFIRMED = 1; // kept by decision
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

  // Set the exclusions of the tables, without decisions of this page.
  takeTables() {
    this.state = new Uint8Array(this.count);
    this.reason = new Array(this.count).fill("");
    for (const [fiber, reason] of this.facts.excluded) {
      this.state[fiber] = EXCLUDED;
      this.reason[fiber] = reason;
    }
    this.tables = this.state.slice();
  }

  // Whether the fiber counts for sizes.
  whole(fiber) {
    return this.state[fiber] !== EXCLUDED && !this.columns.touches_border[fiber];
  }

  // Number of decisions that are not in the tables.
  pending() {
    let count = 0;
    for (let i = 0; i < this.count; i++) count += (this.state[i] === EXCLUDED) !== (this.tables[i] === EXCLUDED);
    return count;
  }

  find(image, number) {
    const { first, count } = this.images[image];
    for (let i = first; i < first + count; i++) if (this.columns.fiber[i] === number) return i;
    return -1;
  }
}
