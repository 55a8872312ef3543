// The image and its layers on OpenSeadragon; layers are swapped only once the new one is there.
/* global OpenSeadragon */

import * as api from "./api.js";

const SMOOTH_UNTIL = 1; // Beyond full resolution, pixels are shown as what they are.

export class Stage {
  constructor(element, told) {
    this.told = told;
    this.shown = new Map(); // layer number -> { item, key, next }
    this.image = null;
    forbidOwnStyle();
    this.viewer = OpenSeadragon({
      element,
      drawer: "canvas",
      showNavigationControl: false,
      animationTime: 0.4,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
      maxZoomPixelRatio: 16,
      minZoomImageRatio: 0.6,
      visibilityRatio: 0.3,
      imageLoaderLimit: 8,
      tileRetryMax: 5, // The server may be busy for a moment.
      tileRetryDelay: 1000,
      maxImageCacheCount: 150,
      preserveViewport: true,
    });
    this.viewer.innerTracker.keyHandler = null; // Keys are ours, see keys.js.
    this.viewer.innerTracker.keyDownHandler = null;
    const redraw = () => this.moved();
    this.isMoving = false;
    this.viewer.addHandler("animation-start", () => { this.isMoving = true; this.#busy(); });
    this.viewer.addHandler("animation-finish", () => { this.isMoving = false; this.#busy(); });
    this.viewer.world.addHandler("remove-item", () => this.#busy());
    for (const event of ["animation", "animation-finish", "resize", "open"]) this.viewer.addHandler(event, redraw);
    this.viewer.addHandler("canvas-click", (event) => {
      if (event.quick && this.image) this.told.clicked(this.pixelAt(event.position));
    });
    this.viewer.addHandler("tile-load-failed", () => this.told.failed());
    new OpenSeadragon.MouseTracker({
      element: this.viewer.container,
      moveHandler: (event) => this.image && this.told.pointed(this.pixelAt(event.position)),
    });
  }

  // Shows another image, from nothing.
  open(run, image) {
    this.run = run;
    this.image = image;
    this.shown.clear();
    this.viewer.world.removeAll();
  }

  // Brings what is shown to what is wanted: [{ layer, opacity, style }], from the lowest on.
  show(wanted) {
    wanted.forEach(({ layer, opacity, style }, index) => {
      const at = this.shown.get(layer.number) ?? { item: null, key: null, next: null };
      this.shown.set(layer.number, at);
      at.opacity = opacity;
      at.place = index;
      if (at.item) at.item.setOpacity(opacity);
      const urls = api.tile(this.run, this.image, layer, style);
      const key = urls(0, 0, 0);
      if (at.key === key || opacity === 0) return;
      at.key = key;
      this.#add(at, urls);
    });
    this.moved();
  }

  #add(at, getTileUrl) {
    const { width, height, tile, zooms } = this.image;
    const image = this.image;
    const key = at.key;
    const isFirst = at.item === null;
    this.viewer.addTiledImage({
      tileSource: { width, height, tileSize: tile, tileOverlap: 0, minLevel: 0, maxLevel: zooms - 1, getTileUrl },
      opacity: isFirst ? at.opacity : 0,
      preload: true,
      success: ({ item }) => {
        item.addHandler("fully-loaded-change", () => this.#busy());
        this.#busy();
        if (this.image !== image || at.key !== key) {
          this.viewer.world.removeItem(item);
          return;
        }
        if (isFirst && at.item === null) at.item = item;
        else this.#swapOnceLoaded(at, item, key);
        this.#sort();
        this.moved();
      },
    });
  }

  // Said to who cannot see whether all is there.
  #busy() {
    const world = this.viewer.world;
    let isBusy = this.isMoving;
    for (let at = 0; at < world.getItemCount(); at++) isBusy ||= !world.getItemAt(at).getFullyLoaded();
    this.viewer.element.setAttribute("aria-busy", String(isBusy));
  }

  #swapOnceLoaded(at, item, key) {
    const swap = () => {
      if (at.key !== key) {
        this.viewer.world.removeItem(item);
        return;
      }
      const old = at.item;
      at.item = item;
      item.setOpacity(at.opacity);
      if (old) this.viewer.world.removeItem(old);
      this.#sort();
      this.moved();
    };
    if (item.getFullyLoaded()) swap();
    else item.addOnceHandler("fully-loaded-change", swap);
  }

  #sort() {
    const placed = [...this.shown.values()].filter((at) => at.item).sort((a, b) => a.place - b.place);
    placed.forEach((at, index) => {
      if (this.viewer.world.getIndexOfItem(at.item) !== -1) this.viewer.world.setItemIndex(at.item, index);
    });
  }

  // Cuts layers at a line: those on the left are shown up to it, those on the right from it on.
  part(left, right, at) {
    const { width, height } = this.image ?? {};
    if (!width) return;
    const column = this.imagePoint(new OpenSeadragon.Point(at * this.viewer.container.clientWidth, 0)).x;
    const cut = Math.min(Math.max(column, 0), width);
    for (const [number, { item }] of this.shown) {
      if (number === left) this.#clip(item, 0, Math.max(cut, 0.001), height);
      else if (number === right) this.#clip(item, cut, Math.max(width - cut, 0.001), height);
      else this.#clip(item);
    }
  }

  join() {
    for (const { item } of this.shown.values()) this.#clip(item);
  }

  // Only where it changes: a clip that is set has all drawn again, which asks for the clip again.
  #clip(item, left, width, height) {
    if (!item) return;
    const now = item.getClip();
    if (width === undefined) {
      if (now) item.setClip(null);
    } else if (!now || now.x !== left || now.width !== width) {
      item.setClip(new OpenSeadragon.Rect(left, 0, width, height));
    }
  }

  moved() {
    const drawer = this.viewer.drawer;
    if (drawer && this.image) drawer.setImageSmoothingEnabled(this.zoom < SMOOTH_UNTIL);
    this.told.moved();
  }

  // Screen pixels per pixel of the image.
  get zoom() {
    if (!this.image) return 1;
    return (this.viewer.viewport.getZoom(true) * this.viewer.container.clientWidth) / this.image.width;
  }

  get center() {
    const at = this.viewer.viewport.getCenter(true);
    return { x: at.x * this.image.width, y: at.y * this.image.width };
  }

  look(x, y, zoom, immediately = true) {
    const width = this.image.width;
    this.viewer.viewport.zoomTo((zoom * width) / this.viewer.container.clientWidth, null, immediately);
    this.viewer.viewport.panTo(new OpenSeadragon.Point(x / width, y / width), immediately);
  }

  whole(immediately = false) {
    const { width, height } = this.image;
    this.viewer.viewport.fitBounds(new OpenSeadragon.Rect(0, 0, 1, height / width), immediately);
  }

  full() {
    const { x, y } = this.center;
    this.look(x, y, 1, false);
  }

  by(columns, rows) {
    const step = 0.15;
    const bounds = this.viewer.viewport.getBounds();
    this.viewer.viewport.panBy(new OpenSeadragon.Point(columns * step * bounds.width, rows * step * bounds.height));
    this.viewer.viewport.applyConstraints();
  }

  nearer(times) {
    this.viewer.viewport.zoomBy(times);
    this.viewer.viewport.applyConstraints();
  }

  imagePoint(position) {
    const at = this.viewer.viewport.pointFromPixel(position, true);
    return { x: at.x * this.image.width, y: at.y * this.image.width };
  }

  // Where a pixel of the image is on the stage.
  screenPoint(x, y) {
    const width = this.image.width;
    return this.viewer.viewport.pixelFromPoint(new OpenSeadragon.Point(x / width, y / width), true);
  }

  pixelAt(position) {
    const { x, y } = this.imagePoint(position);
    const [row, column] = [Math.floor(y), Math.floor(x)];
    const isInside = row >= 0 && column >= 0 && row < this.image.height && column < this.image.width;
    return isInside ? { row, column } : null;
  }
}

// OpenSeadragon would put a style into the page, which our policy forbids: it does so unless there
// is one of that mark. Ours is an element without a meaning; page.css has the rule.
function forbidOwnStyle() {
  const mark = document.createElementNS("", "style");
  mark.setAttribute("data-openseadragon-mobile-css", "true");
  document.head.append(mark);
}
