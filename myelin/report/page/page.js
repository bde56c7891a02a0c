// The page: reactions to clicks, keys and rules.

const by = (id) => document.getElementById(id);

class Page {
  constructor(study) {
    this.study = study;
    this.decisions = new Decisions(study);
    this.rules = new Rules(study);
    this.kindOf = (fiber) => this.kind(fiber);
    this.table = new ImageTable(by("images"), study, (index) => this.open(index).then(() => this.viewer.reveal()));
    const point = (fiber, event) => this.point(fiber, event);
    this.viewer = new Viewer(by("viewer"), study, this.kindOf, {
      point, click: (fiber) => this.toggle(fiber), shown: (index) => this.shown(index),
    });
    this.scatter = new Scatter(by("scatter"), study, this.kindOf, { point, click: (fiber) => this.goTo(fiber) });
    this.current = -1;
    this.fillPage();
    this.listen();
    this.updateAll();
  }

  // A fiber's name in COLOURS.
  kind(fiber) {
    const state = this.study.state[fiber];
    if (state === EXCLUDED) return "excluded";
    if (state === CONFIRMED) return "confirmed";
    if (this.rules.doubtful[fiber]) return "doubtful";
    return this.study.columns.touches_border[fiber] ? "border" : "whole";
  }

  // ---------------------------------------------------------------- what is shown

  fillPage() {
    const { images, facts } = this.study;
    by("image").append(...images.map((image, index) => new Option(image.name, index)));
    by("command").textContent = facts.command;
    by("warnings").append(...facts.warnings.map((text) => element("p", text, "warning")));
    for (const rule of this.rules.list) this.addRule(rule);
  }

  addRule(rule) {
    const on = element("input"), limit = element("input"), count = element("span");
    on.type = "checkbox";
    on.checked = rule.active;
    Object.assign(limit, { type: "number", step: "any", min: 0, value: rule.limit ?? "" });
    limit.setAttribute("aria-label", `${rule.what} ${rule.side}`);
    limit.dataset.rule = rule.option;
    const label = element("label", [on, ` ${rule.what} ${rule.side}`]);
    on.addEventListener("change", () => this.setRule(rule, on.checked, limit.value));
    limit.addEventListener("input", () => {
      on.checked = limit.value !== "";
      this.setRule(rule, on.checked, limit.value);
    });
    by("rules").append(element("div", [label, limit, count], "rule"));
    rule.output = count;
  }

  setRule(rule, active, text) {
    rule.active = active;
    rule.limit = text === "" ? null : Number(text);
    this.rules.update();
    this.updateAll();
  }

  updateAll() {
    this.study.images.forEach((_, index) => this.updateImage(index));
    for (const rule of this.rules.list) rule.output.textContent = rule.active ? plural(rule.count, "fiber") : "off";
    this.viewer.refresh();
    this.updateRest();
  }

  // Update the page after a decision on some fibers.
  update(fibers) {
    for (const index of new Set(fibers.map((fiber) => this.study.imageOf[fiber]))) this.updateImage(index);
    this.viewer.refresh(fibers);
    this.updateRest();
  }

  updateImage(index) {
    const image = this.study.images[index];
    image.row = summarize(this.study, image);
    image.open = 0;
    for (let i = image.first; i < image.first + image.count; i++) image.open += this.rules.open(i);
    this.table.update(index, image.open);
  }

  updateRest() {
    this.groups = groupRows(this.study);
    by("groups-part").hidden = by("animals-part").hidden = !this.groups.length;
    if (this.groups.length) fillGroups(by("groups"), this.groups);
    fillExcluded(by("excluded"), this.study, this.rules, this.decisions.excluded(), (fiber) => this.goTo(fiber));
    this.queuePlots();
    this.describe(this.current);
    by("undo").disabled = !this.decisions.done.length;
    by("pending").textContent = this.status();
  }

  status() {
    const open = this.study.images.reduce((sum, image) => sum + image.open, 0), pending = this.study.pending();
    const parts = [`${plural(open, "doubtful fiber")} to decide on`];
    if (pending) parts.push(`${plural(pending, "decision")} not in the tables yet`);
    if (!this.decisions.stored) parts.push("this browser does not store decisions: save them before you leave");
    return `${parts.join("; ")}.`;
  }

  // Draw the plots once with the next frame.
  queuePlots() {
    this.queued ||= requestAnimationFrame(() => this.drawPlots());
  }

  drawPlots() {
    this.queued = 0;
    const { images } = this.study;
    const shownImages = by("scope").value === "one" && this.viewer.index >= 0 ? [images[this.viewer.index]] : images;
    this.scatter.draw(shownImages);
    const values = (column) => wholeValues(this.study, shownImages, column);
    drawHistogram(by("diameters"), values("axon_diameter_um"), "axon diameter (µm)");
    drawHistogram(by("thicknesses"), values("myelin_thickness_um"), "myelin thickness (µm)");
    if (this.groups.length) drawAnimals(by("animals"), this.groups);
  }

  // State of a fiber in words.
  stateText(fiber) {
    if (fiber < 0) return "";
    const doubts = this.rules.inWords(this.rules.reasons(fiber)), { state, reason, columns, facts } = this.study;
    const why = facts.doubt_words[columns.doubt_word[fiber]];
    const parts = [];
    if (state[fiber] === EXCLUDED) parts.push(`excluded: ${this.rules.inWords(reason[fiber])}`);
    if (state[fiber] === CONFIRMED) parts.push("kept by decision");
    if (state[fiber] !== EXCLUDED && doubts) parts.push(`doubtful: ${why ? `${why}; ` : ""}${doubts}`);
    if (columns.touches_border[fiber]) parts.push("at the border");
    return parts.join(", ") || "whole";
  }

  nameOf(fiber) {
    return `Fiber ${this.study.columns.fiber[fiber]} of ${this.study.images[this.study.imageOf[fiber]].name}`;
  }

  describe(fiber) {
    by("fiber-title").textContent = fiber < 0 ? "No fiber selected" : this.nameOf(fiber);
    by("state").textContent = this.stateText(fiber);
    fillFiber(by("fiber"), this.study, fiber);
    by("exclude").disabled = by("keep").disabled = fiber < 0;
    if (fiber >= 0) by("number").value = this.study.columns.fiber[fiber];
  }

  announce(text) {
    by("message").textContent = text;
  }

  // ---------------------------------------------------------------- going from fiber to fiber

  // React to the pointer in the image or in the scatter plot.
  point(fiber, event) {
    this.showTip(fiber, event);
    if (fiber < 0 || fiber === this.current) return;
    this.choose(fiber);
  }

  choose(fiber) {
    this.current = fiber;
    const here = fiber >= 0 && this.study.imageOf[fiber] === this.viewer.index;
    if (this.viewer.scene) this.viewer.choose(here ? fiber : -1);
    this.scatter.mark(fiber);
    this.describe(fiber);
  }

  showTip(fiber, event) {
    const tip = by("tip");
    tip.hidden = fiber < 0 || !event;
    if (tip.hidden) return;
    const { columns } = this.study, box = by("viewer").getBoundingClientRect();
    tip.textContent = `fiber ${columns.fiber[fiber]}: axon ${shown(columns.axon_diameter_um[fiber], 2)} µm, ` +
      `myelin ${shown(columns.myelin_thickness_um[fiber], 2)} µm, ` +
      `g ${shown(columns.g_ratio[fiber], 3)}\n${this.stateText(fiber)}`;
    const x = event.clientX - box.left, y = event.clientY - box.top;
    tip.style.left = x > box.width / 2 ? "" : `${x + 14}px`;
    tip.style.right = x > box.width / 2 ? `${box.width - x + 14}px` : "";
    tip.style.top = y > box.height / 2 ? "" : `${y + 14}px`;
    tip.style.bottom = y > box.height / 2 ? `${box.height - y + 14}px` : "";
  }

  async open(index) {
    by("image").value = index;
    await this.viewer.show(index);
  }

  shown(index) {
    by("image").value = index;
    this.table.mark(index);
    this.choose(-1);
    if (by("scope").value === "one") this.drawPlots();
  }

  // Show a fiber in its image, and announce it after the text `before`.
  async goTo(fiber, before = "") {
    if (fiber < 0) return;
    const image = this.study.imageOf[fiber];
    this.going = true; // ignores keys until the image is shown
    try {
      if (image !== this.viewer.index) await this.open(image);
    } finally {
      this.going = false;
    }
    if (image !== this.viewer.index) return; // another image was requested meanwhile
    this.viewer.bring(fiber);
    this.viewer.reveal();
    this.choose(fiber);
    const { columns } = this.study;
    this.announce(`${before}${this.nameOf(fiber)}: axon ${shown(columns.axon_diameter_um[fiber], 2)} µm, g-ratio ` +
      `${shown(columns.g_ratio[fiber], 2)}; ${this.stateText(fiber)}.`);
  }

  // Go to the next doubtful fiber, in each image the worst first, or with -1 to the previous one, around the end.
  async step(direction, before = "") {
    const { count, images, columns: { order } } = this.study;
    const { first } = images[Math.max(this.viewer.index, 0)];
    const start = this.current >= 0 ? order.indexOf(this.current) : Math.max(first - 1, -1);
    for (let i = 1; i <= count; i++) {
      const fiber = order[(start + direction * i + 2 * count) % count];
      if (this.rules.open(fiber)) return this.goTo(fiber, before);
    }
    this.announce(`${before}No doubtful fibers are left.`);
  }

  // Go to the nearest fiber in a direction.
  async walk(dx, dy) {
    const image = this.study.images[this.viewer.index], { x_px: xs, y_px: ys } = this.study.columns;
    if (!image || !image.count) return;
    if (this.current < 0) return this.goTo(image.first);
    let best = -1, least = Infinity;
    for (let i = image.first; i < image.first + image.count; i++) {
      const x = xs[i] - xs[this.current], y = ys[i] - ys[this.current];
      const along = x * dx + y * dy, across = Math.abs(x * dy) + Math.abs(y * dx);
      if (along > 0.5 && across <= along && along + across < least) [best, least] = [i, along + across];
    }
    await this.goTo(best);
  }

  // ---------------------------------------------------------------- decisions

  decide(fibers, state, reasonOf) {
    this.decisions.decide(fibers.map((fiber) => [fiber, state, state === EXCLUDED ? reasonOf(fiber) : ""]));
    this.update(fibers);
  }

  typedReason() {
    return by("reason").value.trim() || "by eye";
  }

  toggle(fiber) {
    if (fiber < 0) return;
    const excluded = this.study.state[fiber] === EXCLUDED;
    if (fiber !== this.current) this.choose(fiber);
    this.decide([fiber], excluded ? KEPT : EXCLUDED, () => this.typedReason());
    this.announce(`${this.nameOf(fiber)} ${excluded ? "counts again" : "is excluded"}.`);
  }

  async decideAndGoOn(state) {
    if (this.current < 0) return this.step(1);
    const fiber = this.current;
    this.decide([fiber], state, () => this.typedReason());
    await this.step(1, `${this.nameOf(fiber)} ${state === EXCLUDED ? "excluded" : "kept"}. `);
  }

  excludeDoubtful() {
    const fibers = [];
    for (let i = 0; i < this.study.count; i++) if (this.rules.open(i)) fibers.push(i);
    this.decide(fibers, EXCLUDED, (fiber) => this.rules.reasons(fiber));
    this.announce(`${plural(fibers.length, "doubtful fiber")} excluded.`);
  }

  undo() {
    const fibers = this.decisions.undo();
    this.update(fibers);
    if (fibers.length === 1) this.goTo(fibers[0], "Undone. ");
    else if (fibers.length) this.announce(`Undone: ${plural(fibers.length, "fiber")}.`);
  }

  reset() {
    if (!confirm("Forget all decisions made on this page, and return to the exclusions in the tables?")) return;
    this.decisions.reset();
    this.updateAll();
  }

  save() {
    download("exclude.csv", this.decisions.csv());
    this.announce(`exclude.csv saved with ${plural(this.decisions.excluded().length, "fiber")}.`);
  }

  async copy() {
    const range = document.createRange();
    range.selectNodeContents(by("command"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    try {
      await navigator.clipboard.writeText(by("command").textContent);
    } catch {
      document.execCommand("copy"); // local files have no clipboard
    }
  }

  // ---------------------------------------------------------------- buttons and keys

  listen() {
    const buttons = {
      undo: () => this.undo(), reset: () => this.reset(), save: () => this.save(), copy: () => this.copy(),
      "zoom-in": () => this.viewer.zoom(1.4), "zoom-out": () => this.viewer.zoom(1 / 1.4), fit: () => this.viewer.fit(),
      exclude: () => this.decideAndGoOn(EXCLUDED), keep: () => this.decideAndGoOn(CONFIRMED),
      next: () => this.step(1), "exclude-doubtful": () => this.excludeDoubtful(),
    };
    for (const [id, action] of Object.entries(buttons)) by(id).addEventListener("click", action);
    by("image").addEventListener("change", (event) => this.open(Number(event.target.value)));
    by("scope").addEventListener("change", () => this.drawPlots());
    by("shown").addEventListener("change", (event) => {
      this.viewer.coloured = event.target.checked;
      this.viewer.draw();
    });
    by("number").addEventListener("change", (event) => {
      this.goTo(this.study.find(this.viewer.index, Number(event.target.value)));
    });
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("resize", () => this.queuePlots());
    window.addEventListener("beforeprint", () => this.drawPlots());
  }

  key(event) {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (typing || this.going || event.ctrlKey || event.metaKey || event.altKey) return;
    const anywhere = {
      n: () => this.step(1), p: () => this.step(-1), u: () => this.undo(), o: () => by("shown").click(),
      x: () => this.decideAndGoOn(EXCLUDED), k: () => this.decideAndGoOn(CONFIRMED),
      "+": () => this.viewer.zoom(1.4), "=": () => this.viewer.zoom(1.4), "-": () => this.viewer.zoom(1 / 1.4),
      0: () => this.viewer.fit(),
    };
    const inViewer = {
      ArrowLeft: () => this.walk(-1, 0), ArrowRight: () => this.walk(1, 0), ArrowUp: () => this.walk(0, -1),
      ArrowDown: () => this.walk(0, 1), " ": () => this.toggle(this.current),
    };
    const action = anywhere[event.key] || (by("viewer").contains(event.target) && inViewer[event.key]);
    if (!action) return;
    event.preventDefault();
    action();
  }
}

const page = new Page(new Study(JSON.parse(by("study").textContent)));
// The pictures come after this script, so that the numbers are shown first.
document.addEventListener("DOMContentLoaded", () => page.open(0));
