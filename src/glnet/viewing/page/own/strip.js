// All images in small, in the order that was chosen.

import * as api from "./api.js";
import { made } from "./panel.js";
import { percent } from "./words.js";

const by = (id) => document.getElementById(id);
const collator = new Intl.Collator("en", { numeric: true });

// Images whose value is not known come last.
export function sorted(images, order) {
  const named = (a, b) => collator.compare(a.name, b.name) || a.number - b.number;
  if (order === "name") return [...images].sort(named);
  const value = (of) => of[order] ?? Infinity;
  return [...images].sort((a, b) => (value(a) === value(b) ? named(a, b) : value(a) - value(b)));
}

export class Strip {
  constructor(choose) {
    this.choose = choose;
    this.drawn = "";
    by("order").addEventListener("change", () => this.draw(this.run, this.images, this.current));
  }

  get order() {
    return sorted(this.images ?? [], by("order").value);
  }

  draw(run, images, current) {
    Object.assign(this, { run, images, current });
    by("strip").hidden = images.length < 2;
    const text = JSON.stringify([images, by("order").value, current]);
    if (images.length < 2 || text === this.drawn) return;
    this.drawn = text;
    by("images").replaceChildren(...this.order.map((of) => this.#item(of)));
    by("images").querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  #item(of) {
    const picture = of.has_thumbnail
      ? made("img", { src: api.thumbnail(this.run, of), alt: "", loading: "lazy" })
      : made("span", { className: "empty" });
    const facts = [];
    if (of.is_running) facts.push("running");
    if (of.error) facts.push("cannot be shown");
    if (of.score !== null) facts.push(`IoU ${percent(of.score)}`);
    if (of.confidence !== null) facts.push(`sure ${percent(of.confidence)}`);
    return made("li", {}, made("button", {
      title: of.error ?? of.name, ariaCurrent: of.number === this.current ? "true" : "false",
      onclick: () => this.choose(of.number),
    }, picture, made("span", { textContent: of.name }), made("span", { className: "quiet", textContent: facts.join(", ") || "\u00a0" })));
  }
}
