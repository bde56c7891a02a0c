// The numbers of summary.csv and per_group.csv, from the fibers that are not excluded.

const SIZES = ["axon_diameter_um", "fiber_diameter_um", "myelin_thickness_um", "g_ratio"];

function meanOf(values) {
  if (!values.length) return null;
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

// Mean, sample standard deviation and median; null if there are too few values.
function statistics(values) {
  const n = values.length, mean = meanOf(values);
  if (!n) return { mean, sd: null, median: null };
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  const sorted = Float64Array.from(values).sort();
  const median = n % 2 ? sorted[(n - 1) / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  return { mean, sd: n > 1 ? Math.sqrt(squares / (n - 1)) : null, median };
}

// The values of a column of the whole fibers of some images.
function wholeValues(study, images, column) {
  const from = study.columns[column], values = new Float64Array(images.reduce((sum, { count }) => sum + count, 0));
  let n = 0;
  for (const { first, count } of images) {
    for (let i = first; i < first + count; i++) if (study.whole(i)) values[n++] = from[i];
  }
  return values.subarray(0, n);
}

// One image's row of summary.csv.
function summarize(study, image) {
  const { columns, state } = study;
  let fibers = 0, counted = 0, whole = 0, axonPx = 0, myelinPx = image.myelin_px;
  for (let i = image.first; i < image.first + image.count; i++) {
    if (state[i] === EXCLUDED) {
      myelinPx -= columns.sheath_px[i];
      continue;
    }
    fibers += 1;
    counted += columns.counted[i];
    whole += !columns.touches_border[i];
    axonPx += columns.axon_px[i];
  }
  const axon = axonPx / image.tissue_px, myelin = myelinPx / image.tissue_px;
  const row = {
    fiber_count: fibers,
    counted_fibers: counted,
    measured_fibers: whole,
    excluded_fibers: image.count - fibers,
    fiber_density_per_mm2: image.area_mm2 ? counted / image.area_mm2 : null,
    axon_area_fraction: axon,
    myelin_area_fraction: myelin,
    aggregate_g_ratio: axonPx ? Math.sqrt(axon / (axon + myelin)) : null,
  };
  for (const size of SIZES) {
    for (const [name, value] of Object.entries(statistics(wholeValues(study, [image], size)))) {
      row[`${size}_${name}`] = value;
    }
  }
  return row;
}

// The row of per_animal.csv for the images of one animal.
function animalRow(study, images) {
  const total = (key) => images.reduce((sum, image) => sum + key(image), 0);
  const area = total((image) => image.area_mm2);
  const row = { fiber_density_per_mm2: area ? total((image) => image.row.counted_fibers) / area : null };
  for (const size of SIZES) row[`${size}_mean`] = meanOf(wholeValues(study, images, size));
  return row;
}

// Groups with their animals, and mean and spread of the animals of each.
function groupRows(study) {
  return Object.entries(study.facts.groups).map(([name, animals]) => {
    const rows = Object.values(animals).map((images) => animalRow(study, images.map((i) => study.images[i])));
    const spread = {};
    for (const column of Object.keys(rows[0])) {
      spread[column] = statistics(rows.map((row) => row[column]).filter((value) => value !== null));
    }
    return { name, animals: rows, spread };
  });
}

// Rules for doubtful fibers: a limit on a column each.
class Rules {
  constructor(study) {
    this.study = study;
    this.list = study.facts.rules.map((rule) => ({ ...rule, active: rule.limit !== null }));
    this.update();
  }

  broken(rule, fiber) {
    const value = this.study.columns[rule.column][fiber];
    return rule.sign === "<" ? value < rule.limit : value > rule.limit;
  }

  // Find the doubtful fibers.
  update() {
    this.doubtful = new Uint8Array(this.study.count);
    for (const rule of this.list) {
      rule.count = 0;
      if (!rule.active || rule.limit === null) continue;
      for (let i = 0; i < this.study.count; i++) {
        if (!this.broken(rule, i)) continue;
        this.doubtful[i] = 1;
        rule.count += 1;
      }
    }
  }

  // The rules that a fiber breaks, as morphometry.py writes them into the column `excluded`.
  reasons(fiber) {
    const broken = this.list.filter((rule) => rule.active && rule.limit !== null && this.broken(rule, fiber));
    return broken.map((rule) => `${rule.column} ${rule.sign} ${rule.limit}`).join("; ");
  }

  // A reason in words: "axon solidity below 0.7" for "axon_solidity < 0.7".
  inWords(reason) {
    const part = (text) => {
      const rule = this.list.find(({ column, sign }) => text.startsWith(`${column} ${sign} `));
      return rule ? `${rule.what} ${rule.side} ${text.split(" ")[2]}` : text;
    };
    return reason.split("; ").map(part).join("; ");
  }

  // Whether the fiber still needs a decision.
  open(fiber) {
    return this.doubtful[fiber] === 1 && this.study.state[fiber] === KEPT;
  }
}
