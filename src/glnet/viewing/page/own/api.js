// Questions to the server, which knows images, layers and tiles by their numbers.

export class Refused extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

async function asked(path, options) {
  const answer = await fetch(path, { credentials: "same-origin", ...options });
  if (!answer.ok) throw new Refused(answer.status, (await answer.text()).slice(0, 500));
  return answer.json();
}

export const images = () => asked("/api/images");
export const image = (number) => asked(`/api/images/${number}`);
export const state = (number) => asked(`/api/images/${number}/state`);
export const pixel = (number, row, column) => asked(`/api/images/${number}/pixel/${row}/${column}`);
export const reload = (number) => asked(`/api/images/${number}/reload`, { method: "POST" });
export const cancel = () => asked("/api/job/cancel", { method: "POST" });
export const resume = () => asked("/api/job/resume", { method: "POST" });
export const thumbnail = (run, of) => `/api/images/${of.number}/thumbnail?v=${run}.${of.version}`;

// Where a tile of a layer is; with all that it depends on, so that a browser may keep it.
export function tile(run, image, layer, style) {
  const base = `/api/images/${image.number}/tiles/${layer.number}`;
  const query = new URLSearchParams({ v: `${run}.${image.version}.${layer.revision}` });
  if (style.hidden.length && ["labels", "truth"].includes(layer.kind)) query.set("hide", style.hidden.join(","));
  if (style.of !== null && layer.kind === "errors") query.set("of", style.of);
  return (level, x, y) => `${base}/${image.zooms - 1 - level}/${y}/${x}?${query}`;
}
