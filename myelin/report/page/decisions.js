// Decisions: undo them, keep them in the browser, save them as exclude.csv.

class Decisions {
  constructor(study) {
    this.study = study;
    this.done = []; // one entry per step, each a list of [fiber, state before, reason before]
    this.stored = true;
    this.load();
  }

  // Decide on some fibers in one step: [[fiber, state, reason]].
  decide(changes) {
    const { state, reason } = this.study;
    this.done.push(changes.map(([fiber]) => [fiber, state[fiber], reason[fiber]]));
    this.apply(changes);
  }

  // Undo the last step, and return its fibers.
  undo() {
    const changes = this.done.pop() || [];
    this.apply(changes);
    return changes.map(([fiber]) => fiber);
  }

  apply(changes) {
    const touched = new Set();
    for (const [fiber, state, reason] of changes) {
      this.study.state[fiber] = state;
      this.study.reason[fiber] = reason;
      touched.add(this.study.imageOf[fiber]);
    }
    for (const image of touched) this.store(image);
  }

  // Decisions belong to an image with this mask, whatever the folder of the page.
  key(image) {
    return `myelin-report ${image.mask_sha256} ${image.name}`;
  }

  store(index) {
    const image = this.study.images[index];
    const kept = {};
    for (let i = image.first; i < image.first + image.count; i++) {
      const { state, tables, reason } = this.study;
      if (state[i] !== tables[i]) kept[this.study.columns.fiber[i]] = [state[i], reason[i]];
    }
    try {
      if (Object.keys(kept).length) localStorage.setItem(this.key(image), JSON.stringify(kept));
      else localStorage.removeItem(this.key(image));
      this.stored = true;
    } catch {
      this.stored = false; // no space, or the browser stores nothing for local files
    }
  }

  load() {
    try {
      this.study.images.forEach((image, index) => {
        const text = localStorage.getItem(this.key(image));
        if (!text) return;
        this.loadImage(image, JSON.parse(text));
        this.store(index); // without decisions that are in the tables now
      });
    } catch {
      this.stored = false;
    }
  }

  loadImage(image, kept) {
    for (let i = image.first; i < image.first + image.count; i++) {
      const found = kept[this.study.columns.fiber[i]];
      if (found) [this.study.state[i], this.study.reason[i]] = found;
    }
  }

  // Forget all decisions of this page.
  reset() {
    this.study.takeTables();
    this.done = [];
    this.study.images.forEach((_, index) => this.store(index));
  }

  excluded() {
    const found = [];
    for (let i = 0; i < this.study.count; i++) if (this.study.state[i] === EXCLUDED) found.push(i);
    return found;
  }

  csv() {
    const { columns, images, imageOf, reason } = this.study;
    const comma = this.study.facts.decimal === "comma", separator = comma ? ";" : ",";
    const rows = [["image", "fiber", "reason", "mask_sha256", "x_px", "y_px", "axon_area_px"]];
    for (const i of this.excluded()) {
      const { name, mask_sha256: mask } = images[imageOf[i]];
      rows.push([name, columns.fiber[i], reason[i], mask, columns.x_px[i], columns.y_px[i], columns.axon_px[i]]);
    }
    const text = rows.map((row) => row.map((value) => csvCell(value, comma)).join(separator));
    return `\ufeff${text.join("\r\n")}\r\n`;
  }
}

// A cell as morphometry.py writes it: a spreadsheet takes no text for a formula.
function csvCell(value, comma) {
  if (typeof value === "number") return comma ? String(value).replace(".", ",") : String(value);
  const text = /^[=+\-@\t\r\n＝＋－＠]/.test(value) && !Number.isFinite(Number(value)) ? `'${value}` : value;
  return /[",\r\n;\t]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// Let the browser save a text as a file.
function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
