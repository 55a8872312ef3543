// What is drawn above the layers: boxes, patches and the pixel that was asked for.

import { length, round, whole } from "./words.js";

const LEAST_APART = 6; // Lines nearer to each other on the screen would be a grey area.
const BAR = 140;

export class Marks {
  constructor(canvas, stage) {
    this.canvas = canvas;
    this.stage = stage;
  }

  draw(image, marks, pixel, job) {
    const { canvas, stage } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (!image) return;
    const frame = (row, column, high, wide) => {
      const a = stage.screenPoint(column, row);
      const b = stage.screenPoint(column + wide, row + high);
      return [a.x, a.y, b.x - a.x, b.y - a.y];
    };
    const isSeen = ([x, y, w, h]) => x < width && y < height && x + w > 0 && y + h > 0;
    const done = seenPatches(image, job);
    if (marks.includes("grid") || done) this.#grids(pen, image, frame, isSeen, done, marks.includes("grid"));
    if (marks.includes("boxes")) {
      for (const box of image.boxes) outlined(pen, frame(box.row, box.column, box.height, box.width), 2.5);
    }
    if (pixel) {
      const [x, y, w, h] = frame(pixel.row, pixel.column, 1, 1);
      const side = Math.max(9, w);
      outlined(pen, [x + w / 2 - side / 2, y + h / 2 - side / 2, side, side], 1.5);
    }
  }

  // Patches, with those that the network has seen tinted; without lines where nobody wants them.
  #grids(pen, image, frame, isSeen, done, isLined) {
    let number = 0;
    for (const grid of image.grids) {
      const [high, wide] = grid.patch;
      const zoom = this.stage.zoom;
      const step = Math.min(
        (grid.rows.length > 1 ? grid.rows[1] - grid.rows[0] : high) * zoom,
        (grid.columns.length > 1 ? grid.columns[1] - grid.columns[0] : wide) * zoom,
      );
      if (step < LEAST_APART) {
        if (isLined) outlined(pen, frame(grid.row, grid.column, grid.height, grid.width), 1);
        number += grid.rows.length * grid.columns.length;
        continue;
      }
      for (const row of grid.rows) {
        for (const column of grid.columns) {
          const at = frame(grid.row + row, grid.column + column, high, wide);
          number += 1;
          if (!isSeen(at)) continue;
          if (number <= done) {
            pen.fillStyle = "rgba(108, 197, 214, 0.16)";
            pen.fillRect(...at);
          }
          if (isLined) outlined(pen, at, 1);
        }
      }
    }
  }

  scale(image, bar, text) {
    const metres = image.metres_per_pixel;
    const most = (BAR / this.stage.zoom) * (metres ?? 1);
    const shown = round(most);
    bar.style.width = `${(shown / (metres ?? 1)) * this.stage.zoom}px`;
    text.textContent = metres === null ? `${shown < 1 ? shown : whole(shown)} px` : length(shown);
  }
}

// How many patches a running segmentation has seen; of several regions, one is at hand, and which
// is not said.
function seenPatches(image, job) {
  const isSeen = job?.phase.startsWith("patches") && job.image === image.number;
  return isSeen && image.grids.length === 1 ? job.done : 0;
}

function outlined(pen, at, width) {
  pen.lineWidth = width + 2;
  pen.strokeStyle = "rgba(0, 0, 0, 0.4)";
  pen.strokeRect(...at);
  pen.lineWidth = width;
  pen.strokeStyle = "#fff";
  pen.strokeRect(...at);
}
