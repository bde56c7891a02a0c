// Tables that a person sorts and searches; texts go in as text, never as HTML.

const MOST_ROWS = 200; // the fibers.csv has all

// A column of numbers, as [name in the table of morphometry.py, title, digits, name of the standard deviation].
const IMAGE_NUMBERS = [
  ["fiber_count", "fibers", 0], ["excluded_fibers", "excluded", 0], ["doubtful", "doubtful", 0],
  ["fiber_density_per_mm2", "per mm²", 0], ["fiber_density_nerve_per_mm2", "per mm² of nerve", 0],
  ["axon_diameter_um_mean", "axon (µm)", 3, "axon_diameter_um_sd"],
  ["fiber_diameter_um_mean", "fiber (µm)", 3, "fiber_diameter_um_sd"],
  ["myelin_thickness_um_mean", "myelin (µm)", 3, "myelin_thickness_um_sd"],
  ["g_ratio_mean", "g-ratio", 3, "g_ratio_sd"], ["g_ratio_median", "median g", 3],
  ["aggregate_g_ratio", "aggregate g", 3], ["axon_area_fraction", "axon area", 3],
  ["myelin_area_fraction", "myelin area", 3],
];
const GROUP_NUMBERS = [
  ["animals", "animals", 0], ["fiber_density_per_mm2_mean", "per mm²", 0, "fiber_density_per_mm2_sd_of_animals"],
  ["fiber_density_nerve_per_mm2_mean", "per mm² of nerve", 0, "fiber_density_nerve_per_mm2_sd_of_animals"],
  ["axon_diameter_um_mean", "axon (µm)", 3, "axon_diameter_um_sd_of_animals"],
  ["fiber_diameter_um_mean", "fiber (µm)", 3, "fiber_diameter_um_sd_of_animals"],
  ["myelin_thickness_um_mean", "myelin (µm)", 3, "myelin_thickness_um_sd_of_animals"],
  ["g_ratio_mean", "g-ratio", 3, "g_ratio_sd_of_animals"],
];
const FIBER_NUMBERS = [
  ["axon_diameter_um", "axon (µm)", 3], ["fiber_diameter_um", "fiber (µm)", 3],
  ["myelin_thickness_um", "myelin (µm)", 3], ["g_ratio", "g-ratio", 3], ["doubt", "doubt", 2],
  ["confidence", "confidence", 3], ["axon_solidity", "axon solidity", 3],
  ["axon_circularity", "axon circularity", 3], ["axon_eccentricity", "axon eccentricity", 3],
  ["roundness", "fiber roundness", 3],
];

// An element with a text, or with other elements in it.
function element(name, content = [], properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...[content].flat());
  return made;
}

function linkButton(text, onclick) { return element("button", text, { type: "button", className: "link", onclick }); }

function plural(count, what) { return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`; }

function shown(value, digits) {
  if (value === null) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// The columns of numbers that at least one row has.
function known(list, rows) { return list.filter(([name]) => rows.some((row) => (row[name] ?? null) !== null)); }

// Columns {title, value, digits, name, sd, action}: functions of a row; `action` makes the cell a button.
function numbers(list, read) {
  return list.map(([name, title, digits, sd]) => ({
    name, title, digits, value: (row) => read(row, name), sd: sd && ((row) => read(row, sd)),
  }));
}

class Table {
  // `search`, an input, is optional; so is the title of the column by which rows are sorted at first, largest first.
  constructor(table, caption, columns, rows, search, first) {
    Object.assign(this, { table, caption, columns, rows, search });
    this.sorted = columns.find(({ title }) => title === first);
    this.down = true;
    search?.addEventListener("input", () => this.show());
    this.show();
  }

  sort(column) {
    this.down = this.sorted === column ? !this.down : column.digits !== undefined;
    this.sorted = column;
    this.show();
    this.table.tHead.rows[0].cells[this.columns.indexOf(column)].firstChild.focus();
  }

  // The rows in which every word of the search occurs, in order.
  found() {
    const words = (this.search?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const named = this.columns.filter(({ digits, action }) => digits === undefined || action);
    const has = (row) => {
      const text = named.map(({ value }) => value(row)).join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const rows = this.rows.filter(has);
    if (!this.sorted) return rows;
    const { value, digits } = this.sorted, texts = new Intl.Collator("en", { numeric: true });
    const order = digits === undefined ? (a, b) => texts.compare(a, b) : (a, b) => a - b;
    return rows.sort((one, other) => {
      const a = value(one), b = value(other);
      if (a === null || b === null) return (a === null) - (b === null);
      return this.down ? order(b, a) : order(a, b);
    });
  }

  show() {
    const rows = this.found(), more = rows.length > MOST_ROWS ? `, the first ${MOST_ROWS}` : "";
    this.lines = new Map(rows.slice(0, MOST_ROWS).map((row) => [row, this.line(row)]));
    this.table.replaceChildren(element("caption", `${this.caption(rows.length)}${more}`),
      element("thead", element("tr", this.columns.map((column) => this.head(column)))),
      element("tbody", [...this.lines.values()]));
  }

  // Show rows anew whose values have changed, where they are.
  update(rows) {
    for (const row of rows.filter((one) => this.lines.has(one))) {
      const line = this.line(row);
      this.lines.get(row).replaceWith(line);
      this.lines.set(row, line);
    }
  }

  line(row) { return element("tr", this.columns.map((column) => this.cell(column, row))); }

  head(column) {
    const ariaSort = this.sorted === column ? (this.down ? "descending" : "ascending") : "none";
    const button = linkButton(column.title, () => this.sort(column));
    return element("th", button, { scope: "col", ariaSort, className: column.digits === undefined ? "text" : "" });
  }

  cell({ value, digits, name, sd, action }, row) {
    const found = value(row), text = digits === undefined ? found : shown(found, digits);
    if (action) return element("td", linkButton(text, () => action(row)));
    if (digits === undefined) return element("td", text, { className: "text", title: text });
    const cell = element("td", element("data", text, { value: found ?? "" }));
    if (sd && sd(row) !== null) cell.append(` ± ${shown(sd(row), digits)}`);
    cell.dataset.column = name;
    return cell;
  }
}
