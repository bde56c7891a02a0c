// The study, and the marks of its fibers: undo them, keep them in the browser, save them as tables.

class Study {
  constructor(facts) {
    Object.assign(this, facts);
    this.count = this.columns.fiber.length;
    this.imageOf = new Uint32Array(this.count);
    this.images.forEach(({ first, count }, index) => this.imageOf.fill(index, first, first + count));
  }

  nameOf(fiber) { return this.images[this.imageOf[fiber]].image; }

  // The fiber of an image with a number; -1 without one.
  find(index, number) {
    const { first, count } = this.images[index];
    return this.columns.fiber.findIndex((own, i) => own === number && i >= first && i < first + count);
  }
}

// A mark is {excluded, class, kept}: the reason or "", a word or "", and whether a person confirmed the fiber.
class Marks {
  constructor(study) {
    this.study = study;
    this.changed = new Map();
    this.done = []; // steps to undo, each a list of [fiber, mark before]
    this.stored = true; // whether the browser stores marks
    this.doubtful = new Set(study.doubtful);
    this.load();
  }

  inTables(fiber) {
    const { excluded, class: classes } = this.study.columns;
    return { excluded: excluded[fiber], class: classes[fiber], kept: false };
  }

  of(fiber) { return this.changed.get(fiber) ?? this.inTables(fiber); }

  // Whether the numbers do not know this mark yet.
  waits(fiber) {
    const now = this.of(fiber), before = this.inTables(fiber);
    return now.excluded !== before.excluded || now.class !== before.class;
  }

  waiting() { return [...this.changed.keys()].filter((fiber) => this.waits(fiber)).length; }

  // Whether a doubtful fiber has no mark.
  open(fiber) { return this.doubtful.has(fiber) && !this.changed.has(fiber); }

  exclude(fiber, reason) { this.set([[fiber, { ...this.of(fiber), excluded: reason, kept: false }]]); }

  // A fiber that was left out by its class loses the class.
  keep(fiber) {
    const mark = this.of(fiber);
    this.set([[fiber, { excluded: "", class: leftOutByClass(mark) ? "" : mark.class, kept: true }]]);
  }

  classify(fiber, word) {
    const mark = this.of(fiber);
    this.set([[fiber, { ...mark, class: word, excluded: leftOutByClass(mark) ? "" : mark.excluded }]]);
  }

  reset() { this.set([...this.changed.keys()].map((fiber) => [fiber, undefined])); }

  // Set marks in one step; undefined is the state in the tables.
  set(entries) {
    this.done.push(entries.map(([fiber]) => [fiber, this.changed.get(fiber)]));
    this.put(entries);
  }

  // Undo the last step, and return its fibers.
  undo() {
    const entries = this.done.pop();
    this.put(entries);
    return entries.map(([fiber]) => fiber);
  }

  put(entries) {
    for (const [fiber, mark] of entries) {
      if (mark) this.changed.set(fiber, mark);
      else this.changed.delete(fiber);
    }
    for (const index of new Set(entries.map(([fiber]) => this.study.imageOf[fiber]))) this.store(index);
  }

  // Marks belong to an image with this mask, whatever the folder of the page.
  key({ image, mask_sha256: mask }) { return `myelin-marks ${mask} ${image}`; }

  store(index) {
    const { columns, imageOf, images } = this.study, key = this.key(images[index]);
    const own = [...this.changed].filter(([fiber]) => imageOf[fiber] === index);
    const kept = Object.fromEntries(own.map(([fiber, mark]) => [columns.fiber[fiber], mark]));
    try {
      if (own.length) localStorage.setItem(key, JSON.stringify(kept));
      else localStorage.removeItem(key);
    } catch {
      this.stored = false; // no space, or the browser stores nothing for local files
    }
  }

  load() {
    try {
      this.study.images.forEach((image, index) => {
        for (const [number, mark] of Object.entries(JSON.parse(localStorage.getItem(this.key(image))) ?? {})) {
          const fiber = this.study.find(index, Number(number));
          this.changed.set(fiber, mark);
          if (fiber < 0 || !(mark.kept || this.waits(fiber))) this.changed.delete(fiber); // in the tables now
        }
        this.store(index);
      });
    } catch {
      this.stored = false;
    }
  }

  // The fibers that the table of a column lists: "excluded" for exclude.csv, "class" for classes.csv.
  listed(column) {
    return this.study.columns.fiber.map((_, fiber) => fiber).filter((fiber) => this.of(fiber)[column]);
  }

  csv(column) {
    const { columns, images, imageOf, decimal } = this.study, comma = decimal === "comma";
    const title = column === "excluded" ? "reason" : "class";
    const rows = [["image", "fiber", title, "mask_sha256", "x_px", "y_px", "axon_area_px"]];
    for (const i of this.listed(column)) {
      const { image, mask_sha256: mask } = images[imageOf[i]], { fiber, x_px: x, y_px: y, axon_px: area } = columns;
      rows.push([image, fiber[i], this.of(i)[column], mask, x[i], y[i], area[i]]);
    }
    const text = rows.map((row) => row.map((value) => csvCell(value, comma)).join(comma ? ";" : ","));
    return `\ufeff${text.join("\r\n")}\r\n`;
  }
}

function leftOutByClass(mark) { return mark.excluded === `class ${mark.class}`; }

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
