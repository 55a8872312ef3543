// The page: what is wanted (view), what there is (image), and bringing the one to the other.

import * as api from "./api.js";
import { Job } from "./job.js";
import { Marks } from "./marks.js";
import { Panel, isOn, opacity } from "./panel.js";
import { Stage } from "./stage.js";
import { Strip } from "./strip.js";
import { changeTheme, restoreTheme } from "./theme.js";
import { read, written } from "./view.js";

const by = (id) => document.getElementById(id);
const BUSY_MS = 1000;
const IDLE_MS = 5000;

let view = read(location.hash);
let image = null;
let images = [];
let job = null;
let run = "";
let pixel = null;
let asked = 0;
let isSaved = true;

const stage = new Stage(by("viewer"), {
  moved: () => moved(),
  clicked: (at) => ask(at),
  pointed: (at) => { by("where").textContent = at ? `row ${at.row}, column ${at.column}` : ""; },
  failed: () => tell("Some tiles could not be loaded.", false),
});
const marks = new Marks(by("marks"), stage);
const strip = new Strip((number) => go(number));
const running = new Job((error) => tell(error.message, false));
const panel = new Panel({
  toggled: (name) => change(() => { view.switched = flipped(view.switched, name); }),
  faded: (name, value) => { view.opacity[name] = value; show(); save(); },
  hidden: (label) => change(() => { view.hidden = flipped(view.hidden, label).sort((a, b) => a - b); }),
  of: (label) => change(() => { view.of = label; }),
  marked: (name) => change(() => { view.marks = flipped(view.marks, name); }),
});

const flipped = (values, value) => (values.includes(value) ? values.filter((of) => of !== value) : [...values, value]);

function change(how) {
  how();
  draw();
  save();
}

// Everything but the image itself, from what is wanted and what is there.
function draw() {
  if (!image) return;
  by("title").textContent = image.name;
  document.title = `${image.name} - glnet view`;
  panel.layers(image, view);
  panel.legend(image, view);
  by("swipe").setAttribute("aria-pressed", String(Boolean(view.swipe)));
  by("swipe").disabled = image.layers.length < 2;
  show();
}

function show() {
  const style = { hidden: view.hidden, of: view.of };
  const swiped = view.swipe ? [view.swipe.left, view.swipe.right] : [];
  stage.show(image.layers.map((layer) => ({
    layer, style, opacity: isOn(view, layer) || swiped.includes(layer.name) ? opacity(view, layer) : 0,
  })));
}

function moved() {
  if (!image) return;
  marks.draw(image, view.marks, pixel, job);
  marks.scale(image, by("bar"), by("length"));
  by("place").textContent = `${image.width.toLocaleString("en")} × ${image.height.toLocaleString("en")} px, ${(100 * stage.zoom).toPrecision(3)} %`;
  const divider = by("divider");
  divider.hidden = !view.swipe;
  if (view.swipe) {
    const number = (name) => image.layers.findIndex((layer) => layer.name === name);
    divider.style.left = `${100 * view.swipe.at}%`;
    divider.setAttribute("aria-valuenow", String(Math.round(100 * view.swipe.at)));
    stage.part(number(view.swipe.left), number(view.swipe.right), view.swipe.at);
  }
  save();
}

// The address follows what is seen, a little later.
function save() {
  if (!isSaved) return;
  isSaved = false;
  setTimeout(() => {
    isSaved = true;
    if (!image) return;
    const { x, y } = stage.center;
    Object.assign(view, { image: image.number, x, y, zoom: stage.zoom });
    history.replaceState(null, "", written(view));
  }, 250);
}

function look() {
  if (view.x !== null && view.y !== null && view.zoom !== null) stage.look(view.x, view.y, view.zoom);
  else stage.whole(true);
}

async function go(number, wanted = null) {
  const mine = ++asked;
  let found;
  try {
    found = await api.image(number);
  } catch (error) {
    if (mine === asked) tell(error.message, error.status === 409);
    return;
  }
  if (mine !== asked) return;
  const isSame = image && image.number === found.number && image.width === found.width && image.height === found.height;
  const kept = isSame ? { x: stage.center.x, y: stage.center.y, zoom: stage.zoom } : { x: null, y: null, zoom: null };
  image = found;
  view = { ...(wanted ?? { ...view, ...kept }), image: number };
  pixel = null;
  panel.noPixel();
  by("told").hidden = true;
  if (found.error) tell(found.error, false);
  stage.open(run, image);
  draw();
  requestAnimationFrame(() => { look(); moved(); });
  strip.draw(run, images, number);
}

async function ask(at) {
  if (!at) return;
  pixel = at;
  moved();
  try {
    const answer = await api.pixel(image.number, at.row, at.column);
    if (pixel === at) panel.pixel(image, answer);
  } catch (error) {
    tell(error.message, error.status === 409);
  }
}

function tell(words, isReloading) {
  const told = by("told");
  told.replaceChildren(words);
  if (isReloading) {
    const button = document.createElement("button");
    button.textContent = "Load it again";
    button.addEventListener("click", () => api.reload(image?.number ?? view.image).then(() => go(image?.number ?? view.image)));
    told.append(button);
  }
  told.hidden = false;
}

// What may become more: tiles that arrive, counts, a run that goes on.
async function follow() {
  let pause = IDLE_MS;
  try {
    if (image) {
      const mine = asked;
      const state = await api.state(image.number);
      if (mine === asked && image) pause = followed(state);
    }
    if (images.length > 1 || job) {
      const listed = await api.images();
      images = listed.images;
      strip.draw(run, images, image?.number);
      if (images.some((of) => !of.is_done)) pause = BUSY_MS;
    }
  } catch (error) {
    tell(error.status ? error.message : "The server has ended.", error.status === 409);
  }
  setTimeout(follow, pause);
}

function followed(state) {
  const before = job?.image ?? null;
  job = state.job;
  running.draw(job);
  // Who has watched one image being made is shown the next one; who looks at another one is not.
  if (job && job.image !== before && before === image.number) {
    go(job.image);
    return BUSY_MS;
  }
  if (state.has_changed) {
    tell(`${image.name} or a file that lies on it has changed on the disk since it was opened.`, true);
    return IDLE_MS;
  }
  if (state.version !== image.version) {
    go(image.number);
    return BUSY_MS;
  }
  if (state.error) tell(state.error, false);
  const known = JSON.stringify([image.layers, image.classes, image.survey, image.is_done]);
  image.layers = image.layers.map((layer, at) => ({ ...layer, ...state.layers[at] }));
  const { classes, survey, is_done, is_running } = state;
  Object.assign(image, { classes, survey, is_done, is_running });
  if (JSON.stringify([image.layers, image.classes, image.survey, image.is_done]) !== known) draw();
  else if (job) moved();
  const isGrowing = image.layers.some((layer) => layer.progress < 1) || !image.is_done;
  return isGrowing || (job && job.state !== "finished") ? BUSY_MS : IDLE_MS;
}

function swipe() {
  change(() => {
    if (view.swipe) {
      view.swipe = null;
      stage.join();
      return;
    }
    const names = image.layers.map((layer) => layer.name);
    const right = ["truth", "labels"].find((name) => names.includes(name)) ?? names.at(-1);
    const left = right === "truth" && names.includes("labels") ? "labels" : "image";
    view.swipe = { left, right, at: 0.5 };
  });
}

function slide(at) {
  if (!view.swipe) return;
  view.swipe.at = Math.min(1, Math.max(0, at));
  moved();
}

function fold() {
  const isClosed = by("panel").toggleAttribute("data-closed");
  by("toggle").setAttribute("aria-expanded", String(!isClosed));
}

function step(by_) {
  const order = strip.order.map((of) => of.number);
  const next = order[order.indexOf(image.number) + by_];
  if (next !== undefined) go(next);
}

const toggle = (name) => image.layers.some((layer) => layer.name === name) && change(() => { view.switched = flipped(view.switched, name); });
const mark = (name) => change(() => { view.marks = flipped(view.marks, name); });
const KEYS = {
  ArrowLeft: () => stage.by(-1, 0), ArrowRight: () => stage.by(1, 0),
  ArrowUp: () => stage.by(0, -1), ArrowDown: () => stage.by(0, 1),
  "+": () => stage.nearer(1.5), "=": () => stage.nearer(1.5), "-": () => stage.nearer(1 / 1.5),
  0: () => stage.whole(), 1: () => stage.full(),
  i: () => toggle("image"), l: () => toggle("labels"), c: () => toggle("confidence"),
  t: () => toggle("truth"), e: () => toggle("errors"), b: () => mark("boxes"), g: () => mark("grid"),
  s: () => image.layers.length > 1 && swipe(), ",": () => slide(view.swipe?.at - 0.02), ".": () => slide(view.swipe?.at + 0.02),
  "[": () => step(-1), "]": () => step(1), p: fold, d: changeTheme, "?": () => by("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  const isTyped = event.target.closest?.("input[type=range], select, dialog[open]");
  if (isTyped || event.ctrlKey || event.metaKey || event.altKey || !image || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

by("whole").addEventListener("click", () => image && stage.whole());
by("full").addEventListener("click", () => image && stage.full());
by("swipe").addEventListener("click", () => image && swipe());
by("theme").addEventListener("click", changeTheme);
by("help").addEventListener("click", () => by("keys").showModal());
by("toggle").addEventListener("click", fold);
for (const side of ["left", "right"]) {
  by(side).addEventListener("change", (event) => change(() => { view.swipe[side] = event.target.value; }));
}
by("divider").addEventListener("pointerdown", (event) => {
  by("divider").setPointerCapture(event.pointerId);
  event.preventDefault();
});
by("divider").addEventListener("pointermove", (event) => {
  if (!by("divider").hasPointerCapture(event.pointerId)) return;
  const frame = by("stage").getBoundingClientRect();
  slide((event.clientX - frame.left) / frame.width);
});
by("divider").addEventListener("keydown", (event) => {
  const by_ = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
  if (by_ === undefined) return;
  event.stopPropagation();
  event.preventDefault();
  slide(view.swipe.at + by_);
});
window.addEventListener("hashchange", () => {
  const wanted = read(location.hash);
  go(wanted.image, wanted);
});
window.addEventListener("resize", () => moved());

async function start() {
  restoreTheme();
  if (matchMedia("(max-width: 700px)").matches) fold();
  try {
    const listed = await api.images();
    ({ images, run, job } = listed);
    running.draw(job);
    const isNamed = location.hash && view.image < images.length;
    await go(isNamed ? view.image : job?.image ?? 0, isNamed ? view : null);
  } catch (error) {
    tell(error.message, false);
  }
  follow();
}

start();
