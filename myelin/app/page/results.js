// Results as they lie in the files: tables, figures, downloads; threshold and training.

import { $, get, make, post, url } from "/page/api.js";

const FIRST = ["summary.csv", "per_group.csv", "tests.csv", "per_animal.csv"]; // the first three are unfolded

export async function showResults() {
  const { files, tables } = await get("results");
  const names = [...new Set([...FIRST.filter((name) => name in tables), ...Object.keys(tables)])];
  const list = names.map((name) => tableOf(name, tables[name]));
  $("#tables").replaceChildren(...(list.length ? list : [make("p", {}, "No results yet. Press Measure.")]));
  const figures = files.filter((name) => name.endsWith(".png") && !name.endsWith("_overlay.png"));
  $("#figures").replaceChildren(...figures.map((name) => figure("file", { name }, name)));
  $("#one-file").replaceChildren(...files.map((name) => make("option", {}, name)));
  const choose = () => ($("#one").href = url("download", { name: $("#one-file").value }));
  $("#one-file").onchange = choose;
  choose();
  for (const [id, name] of [["report", "report.html"], ["workbook", "summary.xlsx"]]) {
    $(`#${id}`).hidden = !files.includes(name);
    $(`#${id}`).href = url("file", { name });
  }
}

function tableOf(name, { header, rows }) {
  const line = (tag, cells) => make("tr", {}, ...cells.map((cell) => make(tag, {}, cell)));
  const body = make("tbody", {}, ...rows.map((row) => line("td", row)));
  const table = make("table", {}, make("thead", {}, line("th", header)), body);
  const scroll = make("div", { tabIndex: 0, role: "region", ariaLabel: name }, table);
  return make("details", { open: FIRST.slice(0, 3).includes(name) }, make("summary", {}, name), scroll);
}

// A picture of the server with its caption; none where the server has none.
function figure(path, query, text) {
  const picture = make("img", { src: url(path, query), alt: text, loading: "lazy" });
  picture.onerror = () => picture.parentElement?.remove();
  return make("figure", {}, picture, make("figcaption", {}, text));
}

export async function showLearn(study, id) {
  const image = study.images.find((one) => one.id === id) ?? study.images.find((one) => one.state !== "new");
  const middle = study.threshold ?? 0.55;
  const values = [-0.15, 0, 0.15].map((step) => Number(Math.min(Math.max(middle + step, 0.05), 0.95).toFixed(3)));
  const none = () => $("#thresholds").replaceChildren(make("p", {}, "Segment an image first."));
  $("#thresholds").replaceChildren(...(image ? values.map((value) => {
    const picture = make("img", { src: url("threshold", { id: image.id, t: value }), alt: `threshold ${value}` });
    picture.onerror = none; // a mask that was not segmented here has no probability
    const button = make("button", {}, picture, value.toFixed(2));
    button.ariaPressed = String(study.threshold === value);
    button.onclick = async () => showLearn(await post("set", { threshold: value }), id);
    return button;
  }) : []));
  if (!image) none();
  const corrected = study.images.filter((one) => one.state === "corrected").map((one) => one.id);
  const chosen = heldBack();
  $("#pairs").replaceChildren(...corrected.map((one) =>
    make("label", {}, make("input", { type: "checkbox", value: one, checked: chosen.includes(one) }), one)));
  $("#keras").hidden = study.keras;
  $("#install").textContent = study.install;
  $("#corrected").textContent = corrected.length < 2 ? "Correct at least two images to train on them."
    : "Corrected images; tick those to hold back for validation. Without a tick, the last fifth is held back.";
  $("#model").textContent = study.model;
  for (const name of ["#use", "#discard", "#compare"]) $(name).disabled = !study.trained;
  $("#compare").onclick = () => window.app.start({ what: "compare", id: image.id });
  showTraining();
  const stamp = Date.now();
  $("#compared").replaceChildren(...(image && study.trained ? [["before", ""], ["after", "1"]].map(([text, trial]) =>
    figure("overlay", { id: image.id, trial, stamp }, `${image.id}, ${text}`)) : []));
}

export const heldBack = () => [...document.querySelectorAll("#pairs input:checked")].map((box) => box.value);

// The learning curve up to the last epoch, and masks of images held back before and after the training.
export function showTraining() {
  const stamp = Date.now();
  $("#curve").replaceChildren(figure("training", { what: "curve", stamp }, "Learning curve"),
    figure("training", { what: "pair", stamp }, "Before and after, on images held back"));
}
