// What is looked at: kept in the address, so that the address brings it back.

export function fresh() {
  return {
    image: 0, x: null, y: null, zoom: null,
    switched: [], opacity: {}, hidden: [], of: null, marks: [], swipe: null,
  };
}

// Names may have any letters: each is decoded once, when all is split.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const listed = (text) => (text ? text.split(",").map(decoded) : []);
const numbers = (text) => listed(text).map(Number).filter((value) => Number.isInteger(value) && value >= 0);
const number = (text) => (text === undefined || text === "" || !Number.isFinite(Number(text)) ? null : Number(text));

export function read(hash) {
  const view = fresh();
  const given = new Map(hash.replace(/^#/, "").split("&").map((part) => {
    const [key, ...rest] = part.split("=");
    return [key, rest.join("=")];
  }));
  const image = number(given.get("image"));
  view.image = image !== null && Number.isInteger(image) && image >= 0 ? image : 0;
  for (const key of ["x", "y", "zoom"]) view[key] = number(given.get(key));
  if (view.zoom !== null && view.zoom <= 0) view.zoom = null;
  view.switched = listed(given.get("switched"));
  for (const pair of listed(given.get("opacity"))) {
    const at = pair.lastIndexOf(":");
    const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
    if (at > 0 && number(value) !== null) view.opacity[name] = Math.min(1, Math.max(0, Number(value)));
  }
  view.hidden = numbers(given.get("hide"));
  view.of = number(given.get("of"));
  view.marks = listed(given.get("marks")).filter((name) => ["boxes", "grid"].includes(name));
  const swipe = listed(given.get("swipe"));
  if (swipe.length === 3 && number(swipe[2]) !== null) {
    view.swipe = { left: swipe[0], right: swipe[1], at: Math.min(1, Math.max(0, Number(swipe[2]))) };
  }
  return view;
}

export function written(view) {
  const parts = [`image=${view.image}`];
  const joined = (values) => values.map((value) => encodeURIComponent(value)).join(",");
  if (view.x !== null) parts.push(`x=${view.x.toFixed(1)}`, `y=${view.y.toFixed(1)}`, `zoom=${view.zoom.toPrecision(5)}`);
  if (view.switched.length) parts.push(`switched=${joined(view.switched)}`);
  const faded = Object.entries(view.opacity).map(([name, value]) => `${name}:${value}`);
  if (faded.length) parts.push(`opacity=${joined(faded)}`);
  if (view.hidden.length) parts.push(`hide=${view.hidden.join(",")}`);
  if (view.of !== null) parts.push(`of=${view.of}`);
  if (view.marks.length) parts.push(`marks=${joined(view.marks)}`);
  if (view.swipe) parts.push(`swipe=${joined([view.swipe.left, view.swipe.right, view.swipe.at.toFixed(3)])}`);
  return `#${parts.join("&")}`;
}
