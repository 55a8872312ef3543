// Layers, legend and what is known of a pixel.

import { area, percent, whole } from "./words.js";

export function made(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && key !== "list") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

const by = (id) => document.getElementById(id);

export function swatch(color) {
  const element = made("span", { className: "swatch" });
  element.style.background = color ?? "transparent";
  return element;
}

const DEFAULT_OPACITY = { picture: 1, labels: 0.55, truth: 0.55, confidence: 0.8, errors: 0.9 };

// Only the image and the labels are shown until somebody wants more.
export function isOn(view, layer) {
  const usually = layer.number === 0 || layer.name === "labels";
  return usually !== view.switched.includes(layer.name);
}

export const opacity = (view, layer) => view.opacity[layer.name] ?? DEFAULT_OPACITY[layer.kind];

// How much of a class was found; nothing of it may have been.
function amount(found) {
  const size = found?.square_metres != null ? area(found.square_metres) : `${whole(found?.pixels ?? 0)} px`;
  const score = found?.iou != null ? `, IoU ${percent(found.iou)}` : "";
  return `${percent(found?.share ?? 0)}, ${size}${score}`;
}

export class Panel {
  constructor(change) {
    this.change = change;
  }

  // Rows are made once and then only changed: what somebody holds or has focused stays.
  layers(image, view) {
    const { boxes, grids, boxes_left_out: leftOut } = image;
    const named = image.layers.map((layer) => layer.name);
    const shape = JSON.stringify([image.layers.map(({ name, kind, classes }) => [name, kind, classes]), boxes.length, leftOut, grids.length, this.#beyond(image).map((of) => of.name)]);
    if (shape !== this.layersShape) {
      this.layersShape = shape;
      const rows = [...image.layers].reverse().map((layer) => this.#layer(image, layer));
      if (boxes.length || leftOut) rows.unshift(this.#mark("boxes", `boxes (${boxes.length})`));
      if (grids.length) rows.unshift(this.#mark("grid", "patch grid"));
      by("layers").replaceChildren(...rows);
      for (const side of ["left", "right"]) {
        by(side).replaceChildren(...named.map((name) => made("option", { value: name, textContent: name })));
      }
    }
    for (const layer of image.layers) this.#show(view, layer);
    for (const name of ["boxes", "grid"]) {
      const box = by(`mark-${name}`);
      if (box) box.checked = view.marks.includes(name);
    }
    by("swiped").hidden = !view.swipe;
    for (const side of ["left", "right"]) {
      if (view.swipe) by(side).value = view.swipe[side];
    }
    const first = image.layers[0];
    const left = leftOut ? `${leftOut} more boxes are not drawn. ` : "";
    by("notes").textContent = `${left}${image.bands} bands of ${image.dtype}${first.note ? `, ${first.note}` : ""}.`;
  }

  #layer(image, layer) {
    const box = made("input", {
      type: "checkbox", id: `layer-${layer.number}`, onchange: () => this.change.toggled(layer.name),
    });
    const range = made("input", {
      type: "range", min: 0, max: 1, step: 0.05, ariaLabel: `Opacity of ${layer.name}`, id: `opacity-${layer.number}`,
      oninput: (event) => this.change.faded(layer.name, Number(event.target.value)),
    });
    const row = made("li", {}, made("label", {}, box, made("span", { textContent: layer.name })), range);
    if (layer.kind === "errors") {
      row.append(made("select", {
        ariaLabel: "Errors of", id: "of",
        onchange: (event) => this.change.of(event.target.value === "" ? null : Number(event.target.value)),
      }, made("option", { value: "", textContent: "any class" }),
      ...[...layer.classes, ...this.#beyond(image)].map((of) => made("option", { value: of.label, textContent: `of ${of.name}` }))));
    }
    row.append(made("span", { className: "quiet", id: `progress-${layer.number}` }));
    return row;
  }

  #show(view, layer) {
    const isSeen = isOn(view, layer) || (view.swipe && [view.swipe.left, view.swipe.right].includes(layer.name));
    by(`layer-${layer.number}`).checked = isOn(view, layer);
    const range = by(`opacity-${layer.number}`);
    range.disabled = !isSeen;
    if (Number(range.value) !== opacity(view, layer)) range.value = opacity(view, layer);
    if (layer.kind === "errors") by("of").value = view.of ?? "";
    const progress = by(`progress-${layer.number}`);
    progress.hidden = layer.progress >= 1;
    progress.textContent = progress.hidden ? "" : `${percent(layer.progress)} there`;
  }

  #mark(name, words) {
    const box = made("input", { type: "checkbox", id: `mark-${name}`, onchange: () => this.change.marked(name) });
    return made("li", {}, made("label", {}, box, made("span", { textContent: words })));
  }

  // Values that nobody has named are counted, too.
  #beyond(image) {
    return Object.values(image.survey?.classes ?? {}).filter((of) => of.label >= image.classes.length);
  }

  legend(image, view) {
    const counted = image.survey;
    const classes = [...image.classes, ...this.#beyond(image)];
    const shape = JSON.stringify(classes.map(({ label, name, color }) => [label, name, color]));
    if (shape !== this.classesShape) {
      this.classesShape = shape;
      by("classes").replaceChildren(...classes.map((of) => this.#class(of)));
    }
    for (const { label } of classes) {
      by(`class-${label}`).checked = !view.hidden.includes(label);
      by(`amount-${label}`).textContent = counted ? amount(counted.classes[label]) : "";
    }
    const words = [];
    if (counted?.score != null) words.push(`mean IoU ${percent(counted.score)}, accuracy ${percent(counted.accuracy)}`);
    if (counted?.confidence != null) words.push(`mean confidence ${percent(counted.confidence)}`);
    if (counted?.nodata_pixels) words.push(`${whole(counted.nodata_pixels)} px without a label`);
    if (counted?.basis) words.push(`areas ${counted.basis}`);
    if (!counted && image.classes.length && !image.is_running && !image.is_done) words.push("counting …");
    by("summary").textContent = words.join("; ");
    const kinds = image.layers.filter((layer) => isOn(view, layer)).map((layer) => layer.kind);
    by("ramp").hidden = !kinds.includes("confidence");
    by("ramp").querySelector("i").style.background = `linear-gradient(90deg, ${image.legend.ramp.join(", ")})`;
    by("errors").hidden = !kinds.includes("errors");
    const { wrong, too_much: much, missed } = image.legend.errors;
    const shown = view.of === null
      ? [[wrong, "another class than the truth"]]
      : [[much, "false positive: called so, and is not"], [missed, "false negative: is so, and is not called so"]];
    by("errors").replaceChildren(...shown.map(([color, text]) => made("li", {}, swatch(color), text)));
    by("legend").hidden = !image.classes.length && by("ramp").hidden;
  }

  #class(of) {
    const box = made("input", { type: "checkbox", id: `class-${of.label}`, onchange: () => this.change.hidden(of.label) });
    return made("li", {},
      made("label", {}, box, swatch(of.color), made("span", { textContent: of.name })),
      made("span", { className: "amount", id: `amount-${of.label}` }));
  }

  pixel(image, answer) {
    const rows = [["row, column", `${answer.row}, ${answer.column}`]];
    if (answer.map) rows.push([image.crs ?? "map", answer.map.map((value) => value.toFixed(image.crs === "EPSG:4326" ? 6 : 2)).join(", ")]);
    if (answer.degrees) rows.push(["lon, lat", answer.degrees.map((value) => value.toFixed(6)).join(", ")]);
    if (answer.values !== undefined) rows.push(["values", answer.values === null ? "no data" : answer.values.join(", ")]);
    for (const [name, of] of Object.entries(answer.layers)) {
      rows.push([name, made("span", {}, ...(of.color ? [swatch(of.color), " "] : []), of.name)]);
    }
    if (answer.confidence != null) rows.push(["confidence", percent(answer.confidence)]);
    (answer.probabilities ?? []).forEach((share, label) => {
      const name = image.classes[label]?.name ?? `class ${label}`;
      rows.push([`p(${name})`, share === null ? "no data" : percent(share)]);
    });
    by("hint").hidden = true;
    by("answer").replaceChildren(...rows.flatMap(([title, text]) => [made("dt", { textContent: title }), made("dd", {}, text)]));
  }

  noPixel() {
    by("hint").hidden = false;
    by("answer").replaceChildren();
  }
}
