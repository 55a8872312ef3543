// A segmentation that runs: how far it is, and the buttons that stop it and go on with it.

import * as api from "./api.js";
import { made } from "./panel.js";
import { bytes, percent, seconds } from "./words.js";

const by = (id) => document.getElementById(id);

const STATES = { running: "", stopping: "stopping …", stopped: "stopped; it can be resumed", finished: "finished" };

export class Job {
  constructor(failed) {
    by("cancel").addEventListener("click", () => api.cancel().catch(failed));
    by("resume").addEventListener("click", () => api.resume().catch(failed));
  }

  draw(job) {
    by("job").hidden = !job;
    if (!job) return;
    const many = job.images > 1 && job.image !== null ? `image ${job.image + 1} of ${job.images}: ` : "";
    const isRunning = job.state === "running";
    by("phase").textContent = isRunning ? `${many}${job.phase}${job.total ? ` ${job.done} of ${job.total}` : ""}` : STATES[job.state];
    by("progress").value = job.state === "finished" ? 1 : job.share;
    by("cancel").disabled = !isRunning;
    by("resume").disabled = job.state !== "stopped";
    const rows = [["running for", seconds(job.seconds)]];
    if (isRunning && job.total) {
      rows.push([`left of ${job.phase}`, seconds(job.seconds_left)]);
      if (job.megapixels_per_second !== null) rows.push(["speed", `${job.megapixels_per_second.toPrecision(3)} megapixels/s`]);
    }
    const budget = job.budget === null ? "no limit given" : `of ${bytes(job.budget)} (${percent((job.memory ?? 0) / job.budget)})`;
    rows.push(["memory", `${bytes(job.memory)}, ${budget}`]);
    if (job.note) rows.push(["note", job.note]);
    by("numbers").replaceChildren(...rows.flatMap(([title, text]) => [made("dt", { textContent: title }), made("dd", { textContent: text })]));
  }
}
