// Puts what the page takes from npm beside its own files: vendor/, which is never committed.
import { copyFileSync, mkdirSync } from "node:fs";

const from = new URL("node_modules/openseadragon/", import.meta.url);
const to = new URL("vendor/", import.meta.url);
mkdirSync(to, { recursive: true });
copyFileSync(new URL("LICENSE.txt", from), new URL("openseadragon.LICENSE.txt", to));
copyFileSync(
  new URL("build/openseadragon/openseadragon.min.js", from),
  new URL("openseadragon.min.js", to),
);
