// Results as they lie in the files: tables, figures, downloads; threshold and training.

import { $, get, make, post, url } from "/page/api.js";

export async function showResults() {
  const { files, tables } = await get("results");
  const list = Object.entries(tables).map(([name, table]) => tableOf(name, table));
  $("#tables").replaceChildren(...(list.length ? list : [make("p", {}, "No results yet. Press Measure.")]));
  const figures = files.filter((name) => name.endsWith(".png") && !name.endsWith("_overlay.png"));
  $("#figures").replaceChildren(...figures.map((name) => {
    const picture = make("img", { src: url("file", { name }), alt: name, loading: "lazy" });
    return make("figure", {}, picture, make("figcaption", {}, name));
  }));
  $("#one-file").replaceChildren(...files.map((name) => make("option", {}, name)));
  const choose = () => ($("#one").href = url("download", { name: $("#one-file").value }));
  $("#one-file").onchange = choose;
  choose();
  $("#report").hidden = !files.includes("report.html");
  $("#report").href = url("file", { name: "report.html" });
}

function tableOf(name, { header, rows }) {
  const line = (tag, cells) => make("tr", {}, ...cells.map((cell) => make(tag, {}, cell)));
  const body = make("tbody", {}, ...rows.map((row) => line("td", row)));
  const table = make("table", {}, make("thead", {}, line("th", header)), body);
  return make("section", {}, make("h2", {}, name), table);
}

export async function showLearn(study, id) {
  $("#model").textContent = study.model;
  $("#keras").textContent = study.keras ? "The last fifth of the corrected images is held back to validate."
    : "Keras is not installed. To train, run: pip install -r requirements.txt";
  document.querySelector("[data-testid=train]").disabled = !study.keras;
  const image = study.images.find((one) => one.id === id) ?? study.images.find((one) => one.state !== "new");
  const middle = study.threshold ?? 0.55;
  const values = [middle - 0.15, middle, middle + 0.15].map((value) => Math.min(Math.max(value, 0.05), 0.95));
  $("#thresholds").replaceChildren(...(image ? values.map((value) => {
    const picture = make("img", { src: url("threshold", { id: image.id, t: value }), alt: `threshold ${value}` });
    const button = make("button", {}, picture, value.toFixed(2));
    button.ariaPressed = String(study.threshold === Math.round(value * 1000) / 1000);
    button.onclick = async () => showLearn(await post("set", { threshold: value }), id);
    return button;
  }) : [make("p", {}, "Segment an image first.")]));
  const curve = make("img", { src: url("curve", { stamp: Date.now() }), alt: "learning curve" });
  curve.onerror = () => curve.remove();
  $("#curve").replaceChildren(curve);
  if (image) {
    $("#compare").onclick = () => window.app.start({ what: "compare", id: image.id });
    const stamp = Date.now();
    const pair = [["before", ""], ["after", "1"]].map(([text, trial]) => {
      const picture = make("img", { src: url("overlay", { id: image.id, trial, stamp }), alt: text });
      picture.onerror = () => picture.closest("figure")?.remove();
      return make("figure", {}, picture, make("figcaption", {}, `${image.id}, ${text}`));
    });
    $("#pair").replaceChildren(...pair);
  }
}
