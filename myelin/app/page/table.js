// The first screen: the table of images, uploads, pixel sizes.

import { $, make, post, test, upload, url } from "/page/api.js";

export class TableScreen {
  constructor(app) {
    this.app = app;
    test("upload").onchange = () => this.add([...test("upload").files].map((file) => [file.name, file]));
    $("#folder").onchange = () =>
      this.add([...$("#folder").files].map((file) => [inner(file.webkitRelativePath), file]));
    $("#set-all").onclick = () => this.setSize(null, $("#all-size").value);
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
    for (const [name, file] of images) await upload(name, file).catch(() => {});
    test("upload").value = $("#folder").value = "";
    await this.app.reload();
  }

  async setSize(id, text) {
    const um = Number(text.trim().replace(",", "."));
    if (!text.trim()) return;
    if (!(um > 0)) {
      this.app.say(`pixel size ${text}: not a number, give µm per pixel, such as 0.1`);
      return;
    }
    try {
      this.app.take(await post("pixel-size", { id, um }));
    } catch {
      return;
    }
    if (id === null) this.show(this.app.study); // else the rows stay, so that no click is lost
  }

  show(study) {
    $("#mistakes").textContent = study.mistakes.join("\n");
    const rows = study.images.map((image) => this.row(image));
    $("#rows").replaceChildren(...rows);
    if (!rows.length && !study.mistakes.length) {
      const text = "No images yet. Drop some here, or choose files with Add images.";
      $("#rows").append(make("tr", {}, make("td", { colSpan: 10 }, text)));
    }
  }

  row(image) {
    const picture = make("img", { src: url("thumbnail", { id: image.id }), alt: "", loading: "lazy" });
    const size = make("input", { testid: `pixel-size-${image.id}`, size: 8, inputMode: "decimal", title: image.source,
      value: image.pixel_size ? Number(image.pixel_size.toPrecision(6)) : "",
      ariaLabel: `µm per pixel of ${image.id}` });
    size.onchange = () => this.setSize(image.id, size.value);
    const open = make("button", { testid: `open-${image.id}` }, "Open");
    open.onclick = () => this.app.open(image.id);
    const shape = image.shape ? `${image.shape[1]} × ${image.shape[0]}` : "";
    const found = image.myelin ? `${image.myelin}, ${image.scale}` : "";
    const doubts = image.doubts.join("; ");
    const cells = [picture, image.id, image.group, image.animal, shape, size, image.state, found, doubts, open];
    return make("tr", { testid: `row-${image.id}` }, ...cells.map((cell) => make("td", {}, cell)));
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
