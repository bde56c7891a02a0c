// The first screen: the table of images, uploads, pixel sizes, groups and animals.

import { $, make, post, test, upload, url } from "/page/api.js";

export class TableScreen {
  constructor(app) {
    this.app = app;
    this.selected = new Set();
    test("upload").onchange = () => this.add([...test("upload").files].map((file) => [file.name, file]));
    $("#folder").onchange = () =>
      this.add([...$("#folder").files].map((file) => [inner(file.webkitRelativePath), file]));
    $("#set").onclick = () => this.setFields();
    $("#all").onchange = () => {
      this.selected = new Set($("#all").checked ? app.study.images.map((image) => image.id) : []);
      this.show(app.study);
    };
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dropping");
    });
    document.addEventListener("drop", (event) => this.drop(event));
  }

  async drop(event) {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    const found = [];
    for (const entry of entries) await collect(entry, "", found);
    await this.add(found);
  }

  async add(files) {
    const images = files.filter(([name]) => !name.split("/").pop().startsWith("."));
    for (const [name, file] of images) await upload(name, file);
    test("upload").value = $("#folder").value = "";
    await this.app.reload();
  }

  get chosen() { return this.app.study.images.filter(({ id }) => this.selected.has(id)); }

  // Show for which images the fields above the table are.
  label() {
    const count = this.chosen.length, all = this.app.study.images.length;
    $("#for").textContent = count ? `${count} of ${all} selected:` : "All images:";
    Object.assign($("#all"), { checked: count > 0, indeterminate: count > 0 && count < all });
  }

  async setFields() {
    const fields = ["um", "group", "animal"].map((key) => $(`#${key}`)).filter((field) => field.value.trim());
    const ids = (this.chosen.length ? this.chosen : this.app.study.images).map(({ id }) => id);
    if (!(await this.describe(ids, Object.fromEntries(fields.map(({ id, value }) => [id, value]))))) return;
    for (const field of fields) field.value = "";
    this.show(this.app.study);
  }

  // Set pixel size, group or animal of images; return whether they were taken.
  async describe(ids, { um, ...values }) {
    if (um !== undefined) {
      values.um = Number(um.trim().replace(",", "."));
      if (!(values.um > 0)) {
        this.app.say(`pixel size ${um}: not a number, give µm per pixel, such as 0.1`);
        return false;
      }
    }
    const study = await post("describe", { ids, ...values });
    if (!study) return false;
    this.app.take(study);
    for (const { id, doubts } of study.images) { // the rows stay, so that no click is lost
      test(`row-${id}`).querySelector(".doubts").textContent = doubts.join("; ");
    }
    return true;
  }

  show(study) {
    $("#mistakes").textContent = study.mistakes.join("\n");
    const rows = study.images.map((image) => this.row(image));
    $("#rows").replaceChildren(...rows);
    if (!rows.length && !study.mistakes.length) {
      const text = "No images yet. Drop some here, or choose files with Add images.";
      $("#rows").append(make("tr", {}, make("td", { colSpan: 11 }, text)));
    }
    for (const key of ["group", "animal"]) {
      const names = new Set(study.images.map((image) => image[key]).filter(Boolean));
      $(`#${key}s`).replaceChildren(...[...names].map((value) => make("option", { value })));
    }
    this.label();
  }

  row(image) {
    const { id } = image, open = make("button", { testid: `open-${id}` }, "Open");
    open.onclick = () => this.app.open(id);
    const picture = make("img", { src: url("thumbnail", { id }), alt: "", loading: "lazy", onclick: open.onclick });
    const box = make("input", { type: "checkbox", checked: this.selected.has(id), ariaLabel: `Select ${id}` });
    box.onchange = () => {
      this.selected[box.checked ? "add" : "delete"](id);
      this.label();
    };
    const um = image.pixel_size ? String(Number(image.pixel_size.toPrecision(6))) : "";
    const size = this.field(id, "um", um, `pixel-size-${id}`);
    size.title = image.source;
    const pair = ["group", "animal"].map((key) =>
      (this.app.study.blind ? "" : this.field(id, key, image[key], `${key}-${id}`)));
    const shape = image.shape ? `${image.shape[1]} × ${image.shape[0]}` : "";
    const found = image.myelin ? `${image.myelin}, ${image.scale}` : "";
    const cells = [box, picture, id, ...pair, shape, size, image.state, found, image.doubts.join("; "), open];
    const row = make("tr", { testid: `row-${id}` }, ...cells.map((cell) => make("td", {}, cell)));
    row.children[9].className = "doubts";
    return row;
  }

  // A field of one image; the browser suggests values that others have.
  field(id, key, value, testid) {
    const ariaLabel = `${key === "um" ? "µm per pixel" : key} of ${id}`;
    const input = make("input", { testid, value, size: 8, ariaLabel });
    input.setAttribute("list", `${key}s`);
    input.onchange = () => (key !== "um" || input.value.trim()) && this.describe([id], { [key]: input.value });
    return input;
  }
}

// The path of a file within the folder that was chosen.
function inner(path) { return path.split("/").slice(1).join("/") || path; }

async function collect(entry, folder, found) {
  if (entry.isFile) {
    found.push([folder + entry.name, await new Promise((done, failed) => entry.file(done, failed))]);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const entries = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!entries.length) return;
    for (const one of entries) await collect(one, `${folder}${entry.name}/`, found);
  }
}
