// The tables of the page; texts go in as text, never as HTML.

const IMAGE_COLUMNS = [
  ["fiber_count", "fibers", 0], ["excluded_fibers", "excluded", 0], ["open", "doubtful", 0],
  ["fiber_density_per_mm2", "per mm²", 0], ["axon_diameter_um", "axon (µm)", 3],
  ["myelin_thickness_um", "myelin (µm)", 3], ["g_ratio", "g-ratio", 3], ["g_ratio_median", "median g", 3],
  ["aggregate_g_ratio", "aggregate g", 3], ["axon_area_fraction", "axon area", 3],
  ["myelin_area_fraction", "myelin area", 3],
];
const GROUP_COLUMNS = [
  ["fiber_density_per_mm2", "per mm²", 0], ["axon_diameter_um_mean", "axon (µm)", 3],
  ["fiber_diameter_um_mean", "fiber (µm)", 3], ["myelin_thickness_um_mean", "myelin (µm)", 3],
  ["g_ratio_mean", "g-ratio", 3],
];
const FIBER_ROWS = [
  ["axon_diameter_um", "axon diameter", 3, " µm"], ["fiber_diameter_um", "fiber diameter", 3, " µm"],
  ["myelin_thickness_um", "myelin thickness", 3, " µm"], ["g_ratio", "g-ratio", 3, ""],
  ["doubt", "doubt", 2, ""], ["confidence", "confidence", 3, ""], ["axon_solidity", "axon solidity", 3, ""],
  ["axon_circularity", "axon circularity", 3, ""], ["axon_eccentricity", "axon eccentricity", 3, ""],
];
const SHOWN_EXCLUDED = 500; // rows; exclude.csv has all

// An element with text, or with other elements in it.
function element(name, content, className) {
  const made = document.createElement(name);
  if (Array.isArray(content)) made.append(...content);
  else if (content !== undefined) made.textContent = content;
  if (className) made.className = className;
  return made;
}

function plural(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

function shown(value, digits) {
  if (value === null || Number.isNaN(value)) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// A cell whose `value` is the number as in the tables of morphometry.py: six digits.
function setNumber(cell, value, digits, spread) {
  const number = element("data", shown(value, digits));
  number.value = value === null ? "" : String(Number(value.toPrecision(6)));
  cell.replaceChildren(number);
  if (spread !== undefined && spread !== null) cell.append(` ± ${shown(spread, digits)}`);
}

const TEXTS = ["image", "group", "animal", "reason"]; // columns that hold text

function head(table, caption, titles) {
  const cells = titles.map((title) => {
    const cell = element("th", title, TEXTS.includes(title) ? "text" : "");
    cell.scope = "col";
    return cell;
  });
  table.replaceChildren(element("caption", caption), element("thead", [element("tr", cells)]), element("tbody"));
}

// A cell with a text, which is cut if it is very long.
function textCell(text = "") {
  const cell = element("td", text, "text");
  cell.title = text;
  return cell;
}

function linkButton(text, action) {
  const button = element("button", text, "link");
  button.type = "button";
  button.addEventListener("click", action);
  return button;
}

class ImageTable {
  constructor(table, study, choose) {
    Object.assign(this, { table, study });
    const named = study.images.some((image) => image.group);
    head(table, "Images", ["image", ...(named ? ["group", "animal"] : []), ...IMAGE_COLUMNS.map(([, title]) => title)]);
    this.rows = study.images.map((image, index) => {
      const cells = IMAGE_COLUMNS.map(() => element("td"));
      const row = element("tr", [element("td", [linkButton(image.name, () => choose(index))])]);
      if (named) row.append(textCell(image.group), textCell(image.animal));
      row.append(...cells);
      table.tBodies[0].append(row);
      return { row, cells };
    });
  }

  update(index, open) {
    const { row } = this.study.images[index], { cells } = this.rows[index];
    IMAGE_COLUMNS.forEach(([name, , digits], place) => {
      const size = SIZES.includes(name), value = name === "open" ? open : row[size ? `${name}_mean` : name];
      setNumber(cells[place], value, digits, size ? row[`${name}_sd`] : undefined);
      cells[place].dataset.column = size ? `${name}_mean` : name;
    });
  }

  mark(index) {
    this.rows.forEach(({ row }, i) => row.classList.toggle("current", i === index));
  }
}

function fillGroups(table, groups) {
  head(table, "Groups: mean ± standard deviation of their animals",
    ["group", "animals", ...GROUP_COLUMNS.map(([, title]) => title)]);
  for (const group of groups) {
    const row = element("tr", [textCell(group.name), element("td", group.animals.length)]);
    for (const [name, , digits] of GROUP_COLUMNS) {
      const cell = element("td");
      setNumber(cell, group.spread[name].mean, digits, group.spread[name].sd);
      cell.dataset.column = name;
      row.append(cell);
    }
    table.tBodies[0].append(row);
  }
}

function fillExcluded(table, study, rules, fibers, goTo) {
  const more = fibers.length > SHOWN_EXCLUDED ? `, the first ${SHOWN_EXCLUDED}` : "";
  head(table, `${fibers.length} excluded${more}`, ["image", "fiber", "reason"]);
  table.tBodies[0].append(...fibers.slice(0, SHOWN_EXCLUDED).map((i) => element("tr", [
    textCell(study.images[study.imageOf[i]].name),
    element("td", [linkButton(String(study.columns.fiber[i]), () => goTo(i))]),
    textCell(rules.inWords(study.reason[i])),
  ])));
}

function fillFiber(list, study, fiber) {
  list.replaceChildren(...(fiber < 0 ? [] : FIBER_ROWS).flatMap(([column, name, digits, unit]) => [
    element("dt", name), element("dd", shown(study.columns[column][fiber], digits) + unit),
  ]));
}
