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

export class Panel {
  constructor(change) {
    this.change = change;
  }

  layers(image, view) {
    const rows = [...image.layers].reverse().map((layer) => this.#layer(image, view, layer));
    if (image.boxes.length || image.boxes_left_out) rows.unshift(this.#mark(view, "boxes", `boxes (${image.boxes.length})`));
    if (image.grids.length) rows.unshift(this.#mark(view, "grid", "patch grid"));
    by("layers").replaceChildren(...rows);
    const named = image.layers.map((layer) => layer.name);
    by("swiped").hidden = !view.swipe;
    for (const side of ["left", "right"]) {
      const options = named.map((name) => made("option", { value: name, textContent: name }));
      by(side).replaceChildren(...options);
      if (view.swipe) by(side).value = view.swipe[side];
    }
    const first = image.layers[0];
    const left = image.boxes_left_out ? `${image.boxes_left_out} more boxes are not drawn. ` : "";
    by("notes").textContent = `${left}${image.bands} bands of ${image.dtype}${first.note ? `, ${first.note}` : ""}.`;
  }

  #layer(image, view, layer) {
    const box = made("input", {
      type: "checkbox", checked: isOn(view, layer), id: `layer-${layer.number}`,
      onchange: () => this.change.toggled(layer.name),
    });
    const isSeen = isOn(view, layer) || (view.swipe && [view.swipe.left, view.swipe.right].includes(layer.name));
    const range = made("input", {
      type: "range", min: 0, max: 1, step: 0.05, value: opacity(view, layer), disabled: !isSeen,
      ariaLabel: `Opacity of ${layer.name}`, id: `opacity-${layer.number}`,
      oninput: (event) => this.change.faded(layer.name, Number(event.target.value)),
    });
    const row = made("li", {}, made("label", {}, box, made("span", { textContent: layer.name })), range);
    if (layer.kind === "errors") {
      const choose = made("select", {
        ariaLabel: "Errors of", id: "of",
        onchange: (event) => this.change.of(event.target.value === "" ? null : Number(event.target.value)),
      }, made("option", { value: "", textContent: "any class" }),
      ...[...layer.classes, ...this.#beyond(image)].map((of) => made("option", { value: of.label, textContent: `of ${of.name}` })));
      choose.value = view.of ?? "";
      row.append(choose);
    }
    if (layer.progress < 1) row.append(made("span", { className: "quiet", textContent: `${percent(layer.progress)} there` }));
    return row;
  }

  #mark(view, name, words) {
    const box = made("input", {
      type: "checkbox", checked: view.marks.includes(name), id: `mark-${name}`,
      onchange: () => this.change.marked(name),
    });
    return made("li", {}, made("label", {}, box, made("span", { textContent: words })));
  }

  // Values that nobody has named are counted, too.
  #beyond(image) {
    return Object.values(image.survey?.classes ?? {}).filter((of) => of.label >= image.classes.length);
  }

  legend(image, view) {
    const counted = image.survey;
    const rows = [...image.classes, ...this.#beyond(image)].map((of) => this.#class(of, view, counted?.classes[of.label], counted));
    by("classes").replaceChildren(...rows);
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

  #class(of, view, found, counted) {
    const box = made("input", {
      type: "checkbox", checked: !view.hidden.includes(of.label), id: `class-${of.label}`,
      onchange: () => this.change.hidden(of.label),
    });
    let amount = "";
    if (counted) {
      const size = found?.square_metres != null ? area(found.square_metres) : `${whole(found?.pixels ?? 0)} px`;
      amount = `${percent(found?.share ?? 0)}, ${size}`;
      if (found?.iou != null) amount += `, IoU ${percent(found.iou)}`;
    }
    return made("li", {},
      made("label", {}, box, swatch(of.color), made("span", { textContent: of.name })),
      made("span", { className: "amount", textContent: amount }));
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
