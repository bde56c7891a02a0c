// The page: its parts, and what they do when a person clicks, types or presses a key.

const by = (id) => document.getElementById(id);

class Page {
  constructor(study) {
    this.study = study;
    this.marks = new Marks(study);
    this.current = -1;
    this.canvas = new FiberCanvas(by("viewer"), study, (fiber) => this.stateOf(fiber));
    this.canvas.listen((fiber, event) => this.showTip(fiber, event), (fiber) => this.choose(fiber));
    this.scatter = new Scatter(by("scatter"), (fiber) => this.goTo(fiber));
    this.fillPage();
    this.makeTables();
    this.listen();
    this.update([]);
  }

  // A fiber's name in STATES.
  stateOf(fiber) {
    const { excluded, kept } = this.marks.of(fiber);
    if (excluded) return "excluded";
    if (kept) return "kept";
    if (this.marks.doubtful.has(fiber)) return "doubtful";
    return this.study.columns.touches_border[fiber] ? "border" : "whole";
  }

  // State of a fiber in words.
  stateText(fiber) {
    const { excluded, kept, class: word } = this.marks.of(fiber), parts = [];
    const { doubt_reason: why, touches_border: border } = this.study.columns;
    if (excluded) parts.push(`excluded: ${excluded}`);
    if (kept) parts.push("kept");
    if (!excluded && this.marks.doubtful.has(fiber)) parts.push(`doubtful: ${why[fiber]}`);
    if (border[fiber]) parts.push("at the border");
    if (word) parts.push(`class ${word}`);
    return parts.join(", ") || "whole";
  }

  // ---------------------------------------------------------------- what is shown

  fillPage() {
    const { study } = this;
    document.title = by("title").textContent = study.title;
    for (const name of ["provenance", "methods"]) by(name).textContent = study[name];
    by("warnings").append(...study.warnings.map((text) => element("p", text, { className: "warning" })));
    by("image").append(...study.images.map(({ image }, index) => new Option(image, index)));
    by("figures").append(...study.figures.map(([src, alt]) =>
      element("figure", [element("img", [], { srcset: `${src} 2x`, alt }), element("figcaption", alt)])));
  }

  makeTables() {
    const { study } = this, { images, columns } = study, read = (row, name) => row[name] ?? null;
    const text = (title, value, action) => ({ title, value, action });
    const several = images.length > 1 ? [text("image", (fiber) => study.nameOf(fiber))] : [];
    const group = text("group", (row) => row.group);
    const places = study.groups.length ? [group, text("animal", (row) => row.animal)] : [];
    this.images = new Table(by("images"), (count) => plural(count, "image"), [
      text("image", ({ image }) => image, (image) => this.open(images.indexOf(image)).then(() => this.reveal())),
      ...places, ...numbers(known(IMAGE_NUMBERS, images), read)], images, by("find-image"));
    by("groups-part").hidden = !study.groups.length;
    new Table(by("groups"), () => "Groups: mean ± standard deviation of their animals",
      [group, ...numbers(known(GROUP_NUMBERS, study.groups), read)], study.groups);
    this.fibers = new Table(by("fibers"), (count) => plural(count, "fiber"), [
      ...several,
      { title: "fiber", digits: 0, value: (fiber) => columns.fiber[fiber], action: (fiber) => this.goTo(fiber) },
      ...numbers(FIBER_NUMBERS.slice(0, 6), (fiber, name) => columns[name][fiber]),
      text("state", (fiber) => this.stateText(fiber)),
    ], columns.fiber.map((_, fiber) => fiber), by("find-fiber"), "doubt");
  }

  // Show what changed with the marks of some fibers.
  update(fibers) {
    const { marks } = this, open = this.study.doubtful.filter((fiber) => marks.open(fiber)).length;
    const waiting = marks.waiting(), parts = [plural(open, "doubtful fiber") + " without a mark"];
    if (!marks.stored) parts.push("this browser does not store marks: save them before you leave");
    by("status").textContent = parts.join("; ");
    by("undo").disabled = !marks.done.length;
    by("reset").disabled = !marks.changed.size;
    const [excluded, classes] = ["excluded", "class"].map((column) => marks.listed(column).length);
    by("waiting").hidden = !waiting;
    by("count").textContent = plural(waiting, "mark");
    by("command").textContent = this.study.command + (excluded ? " --exclude exclude.csv" : "")
      + (classes ? " --classes classes.csv" : "");
    by("save-classes").disabled = !classes;
    this.canvas.colour(fibers);
    this.fibers.update(fibers);
    this.choose(this.current);
  }

  choose(fiber) {
    this.current = fiber;
    const mark = fiber >= 0 ? this.marks.of(fiber) : { class: "" };
    this.canvas.choose(fiber);
    this.drawScatter();
    by("fiber-title").textContent = fiber < 0 ? "No fiber selected" : this.nameOf(fiber);
    by("state").textContent = fiber < 0 ? "" : this.stateText(fiber);
    by("fiber").replaceChildren(...(fiber < 0 ? [] : FIBER_NUMBERS).flatMap(([name, title, digits]) =>
      [element("dt", title), element("dd", shown(this.study.columns[name][fiber], digits))]));
    for (const id of ["exclude", "keep", "class"]) by(id).disabled = fiber < 0;
    by("class").value = mark.class;
  }

  nameOf(fiber) { return `Fiber ${this.study.columns.fiber[fiber]} of ${this.study.nameOf(fiber)}`; }

  announce(text) { by("message").textContent = text; }

  // The whole fibers of the image.
  drawScatter() {
    if (!this.canvas.view) return;
    const { first, count } = this.canvas.view, points = [];
    const { axon_diameter_um: diameters, g_ratio: ratios, touches_border: border } = this.study.columns;
    for (let id = first; id < first + count; id++) {
      const state = this.stateOf(id), color = state === "whole" ? "#0072b28c" : this.canvas.colours[state];
      if (!border[id]) points.push({ id, x: diameters[id], y: ratios[id], color });
    }
    this.scatter.draw(points, this.current);
  }

  showTip(fiber, event) {
    const tip = by("tip");
    tip.hidden = fiber < 0;
    if (tip.hidden) return;
    const { columns } = this.study, box = by("viewer").getBoundingClientRect();
    tip.textContent = `fiber ${columns.fiber[fiber]}: axon ${shown(columns.axon_diameter_um[fiber], 2)} µm, ` +
      `myelin ${shown(columns.myelin_thickness_um[fiber], 2)} µm, ` +
      `g ${shown(columns.g_ratio[fiber], 3)}\n${this.stateText(fiber)}`;
    const x = event.clientX - box.left, y = event.clientY - box.top;
    tip.style.left = `${Math.min(x + 14, box.width - tip.offsetWidth)}px`;
    tip.style.top = `${y + 14 + tip.offsetHeight < box.height ? y + 14 : y - 14 - tip.offsetHeight}px`;
  }

  // ---------------------------------------------------------------- going from fiber to fiber

  async open(index) {
    by("image").value = index;
    await this.canvas.show(index);
    this.choose(-1);
  }

  reveal() { by("viewer").scrollIntoView({ block: "nearest" }); }

  // Show a fiber in its image, and announce it after the text `before`.
  async goTo(fiber, before = "") {
    if (fiber === undefined || fiber < 0) return this.announce(`${before}No such fiber.`);
    const image = this.study.imageOf[fiber];
    this.going = true; // ignores keys until the image is shown
    if (image !== this.canvas.index) await this.open(image);
    this.going = false;
    if (image !== this.canvas.index) return; // another image was requested meanwhile
    this.canvas.bring(fiber);
    this.reveal();
    this.choose(fiber);
    this.announce(`${before}${this.nameOf(fiber)}: ${this.stateText(fiber)}.`);
  }

  // Go to the next doubtful fiber without a mark, in each image the worst first, or with -1 to the previous one.
  step(direction, before = "") {
    const { doubtful, images } = this.study, count = doubtful.length, first = images[this.canvas.index].first;
    let start = doubtful.indexOf(this.current);
    if (start < 0) start = doubtful.filter((fiber) => fiber < first).length - (direction > 0 ? 1 : 0);
    for (let i = 1; i <= count; i++) {
      const fiber = doubtful[(start + direction * i + 2 * count) % count];
      if (this.marks.open(fiber)) return this.goTo(fiber, before);
    }
    return this.announce(`${before}No doubtful fiber is left without a mark.`);
  }

  // Go to the fiber of this image with the next or the previous number.
  walk(direction) {
    const { first, count } = this.canvas.view;
    if (count) this.goTo(this.current < 0 ? first : first + (this.current - first + direction + count) % count);
  }

  // ---------------------------------------------------------------- marks

  // Mark the chosen fiber; after a doubtful one without a mark, go to the next.
  mark(action, said) {
    const fiber = this.current;
    if (fiber < 0) return;
    const next = this.marks.open(fiber);
    action(fiber);
    this.update([fiber]);
    if (next) this.step(1, `${this.nameOf(fiber)} ${said}. `);
    else this.announce(`${this.nameOf(fiber)} ${said}.`);
  }

  exclude() { this.mark((fiber) => this.marks.exclude(fiber, by("reason").value.trim() || "by eye"), "excluded"); }

  keep() { this.mark((fiber) => this.marks.keep(fiber), "kept"); }

  classify() {
    const word = by("class").value.trim();
    this.mark((fiber) => this.marks.classify(fiber, word), word ? `classified as ${word}` : "without a class");
  }

  undo() {
    const fibers = this.marks.undo();
    this.update(fibers);
    if (fibers.length === 1) this.goTo(fibers[0], "Undone. ");
    else this.announce(`Undone: ${plural(fibers.length, "mark")}.`);
  }

  reset() {
    const fibers = [...this.marks.changed.keys()];
    this.marks.reset();
    this.update(fibers);
    this.announce(`${plural(fibers.length, "mark")} removed; Undo brings them back.`);
  }

  save(name, column) {
    download(name, this.marks.csv(column));
    this.announce(`${name} saved with ${plural(this.marks.listed(column).length, "fiber")}.`);
  }

  copy() {
    getSelection().selectAllChildren(by("command"));
    document.execCommand("copy"); // local files have no navigator.clipboard
  }

  // ---------------------------------------------------------------- buttons and keys

  listen() {
    const buttons = {
      undo: () => this.undo(), reset: () => this.reset(), copy: () => this.copy(),
      "save-excluded": () => this.save("exclude.csv", "excluded"),
      "save-classes": () => this.save("classes.csv", "class"),
      "zoom-in": () => this.canvas.zoomAt(1.4), "zoom-out": () => this.canvas.zoomAt(1 / 1.4),
      fit: () => this.canvas.fit(), next: () => this.step(1), exclude: () => this.exclude(), keep: () => this.keep(),
    };
    for (const [id, action] of Object.entries(buttons)) by(id).addEventListener("click", action);
    by("image").addEventListener("change", (event) => this.open(Number(event.target.value)));
    by("class").addEventListener("change", () => this.classify());
    by("class").addEventListener("keydown", (event) => event.key === "Enter" && by("viewer").focus());
    by("shown").addEventListener("change", (event) => {
      this.canvas.overlay = event.target.checked;
      this.canvas.redraw();
    });
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("resize", () => this.drawScatter());
  }

  key(event) {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (typing || this.going || !this.canvas.view || event.ctrlKey || event.metaKey || event.altKey) return;
    const anywhere = {
      n: () => this.step(1), p: () => this.step(-1), u: () => by("undo").click(), o: () => by("shown").click(),
      x: () => this.exclude(), k: () => this.keep(), c: () => by("class").focus(),
      "+": () => this.canvas.zoomAt(1.4), "=": () => this.canvas.zoomAt(1.4), "-": () => this.canvas.zoomAt(1 / 1.4),
      0: () => this.canvas.fit(),
    };
    const onImage = { ArrowLeft: () => this.walk(-1), ArrowRight: () => this.walk(1) };
    const action = anywhere[event.key] || (event.target === by("viewer") && onImage[event.key]);
    if (!action) return;
    event.preventDefault();
    action();
  }
}

window.page = new Page(new Study(JSON.parse(by("study").textContent)));
// The pictures come after this script, so that the numbers are shown first.
window.addEventListener("load", () => window.page.open(0));
