// Shows a film on a canvas: zoom, movement, window and level, by mouse, finger and keyboard.

import type { Window } from "../types.js";
import { paint } from "./paint.js";
import { named } from "./parts.js";
import type { Picture } from "./picture.js";
import { fitted, isFitted, type Point, panned, resized, type Size, type View, zoomed } from "./view.js";
import { changed, dragged, kept, levelsThrough, type Range, rangeOf, stepOf } from "./window.js";

/** One press of a key or a button. */
const ZOOM_STEP = 1.25;
/** Of a large film, more pixels than these aren't drawn, however fine the screen. */
const MOST_PIXELS_A_SIDE = 2048;

export class Viewer {
  readonly #card: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #stage: HTMLElement;
  #picture: Picture | undefined;
  #view: View = { scale: 1, center: { x: 0, y: 0 } };
  #size: Size = { width: 0, height: 0 };
  /** The viewer's own window; without one the film is shown as the report reads it. */
  #window: Window | undefined;
  #range: Range = { least: 0, largest: 1 };
  #isInverted = false;
  #levels = new Uint8Array();
  #image: ImageData | undefined;
  #isDue = false;
  readonly #pointers = new Map<number, Point>();
  readonly #observer = new ResizeObserver(() => this.#resize());

  /** `card` is an article that was made of the template in index.html. */
  constructor(card: HTMLElement, name: string) {
    this.#card = card;
    this.#canvas = named(card, "canvas", HTMLCanvasElement);
    this.#stage = named(card, "stage", HTMLElement);
    this.#canvas.setAttribute("aria-label", `Film ${name}`);
    this.#listen();
  }

  /** Shows a film that was read. The same film read anew keeps its view and its window. */
  show(picture: Picture): void {
    const before = this.#picture;
    this.#picture = picture;
    if (before?.width === picture.width && before.height === picture.height) {
      this.#relevel();
      return;
    }
    const { stored } = picture;
    if (stored) this.#range = rangeOf(stored.values);
    named(this.#card, "waiting", HTMLElement).hidden = true;
    named(this.#card, "tools", HTMLElement).hidden = false;
    named(this.#card, "window", HTMLElement).hidden = !stored;
    this.#canvas.hidden = false;
    this.#canvas.tabIndex = 0;
    // Keys are for the film, and not for a screen reader's own commands, while it has the focus.
    this.#canvas.setAttribute("role", "application");
    this.#canvas.setAttribute("aria-describedby", stored ? "window-keys" : "film-keys");
    this.#card.dataset.shown = "";
    this.#stage.style.aspectRatio = String(Math.min(Math.max(picture.width / picture.height, 0.75), 1.6));
    if (stored) this.#drag(matchMedia("(pointer: coarse)").matches ? "move" : "window");
    this.#observer.observe(this.#stage);
    this.#size = { width: 0, height: 0 };
    this.#resize();
    this.#relevel();
  }

  /** The same film with fewer pixels. View and window stay. */
  replace(picture: Picture): void {
    const before = this.#picture;
    if (!before || picture === before) return;
    const factor = picture.width / before.width;
    this.#picture = picture;
    const center = { x: this.#view.center.x * factor, y: this.#view.center.y * factor };
    this.#view = zoomed({ scale: this.#view.scale / factor, center }, picture, this.#size, 1, this.#middle());
    named(this.#card, "reduced", HTMLElement).hidden = false;
    this.#relevel();
  }

  get picture(): Picture | undefined {
    return this.#picture;
  }

  /** Nothing is drawn any more, and no film is kept. */
  close(): void {
    this.#observer.disconnect();
    this.#picture = undefined;
    this.#image = undefined;
    this.#canvas.width = 0;
  }

  #listen(): void {
    const canvas = this.#canvas;
    canvas.addEventListener("pointerdown", (event) => this.#pointerDown(event));
    canvas.addEventListener("pointermove", (event) => this.#pointerMoved(event));
    for (const name of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(name, (event) => this.#pointers.delete(event.pointerId));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    this.#press("zoom-in", () => this.#zoom(ZOOM_STEP));
    this.#press("zoom-out", () => this.#zoom(1 / ZOOM_STEP));
    this.#press("fit", () => this.#fit());
    this.#press("invert", () => this.#invert());
    this.#press("enlarge", () => this.#enlarge());
    this.#press("reset", () => this.#setWindow(undefined));
    for (const name of ["level", "width"] as const) {
      named(this.#card, name, HTMLInputElement).addEventListener("change", () => this.#typed());
    }
    const way = `drag-${crypto.getRandomValues(new Uint32Array(1))[0]}`; // radios of one card belong together
    for (const name of ["window", "move"] as const) {
      const radio = named(this.#card, `drag-${name}`, HTMLInputElement);
      radio.name = way;
      radio.addEventListener("change", () => this.#drag(name));
    }
  }

  #press(name: string, act: () => void): void {
    named(this.#card, name, HTMLButtonElement).addEventListener("click", act);
  }

  #drag(way: "window" | "move"): void {
    this.#canvas.dataset.drag = way;
    named(this.#card, `drag-${way}`, HTMLInputElement).checked = true;
  }

  #pointerDown(event: PointerEvent): void {
    // Keys and wheel are this film's from now on. A focus by itself would scroll the page.
    this.#canvas.focus({ preventScroll: true });
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#at(event));
  }

  #pointerMoved(event: PointerEvent): void {
    const before = this.#pointers.get(event.pointerId);
    const picture = this.#picture;
    if (!before || !picture) return;
    const now = this.#at(event);
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId);
    this.#pointers.set(event.pointerId, now);
    const other = others[0]?.[1];
    if (other) {
      const factor = distance(now, other) / Math.max(1, distance(before, other));
      this.#see(zoomed(this.#view, picture, this.#size, factor, other));
      return;
    }
    const movesFilm = this.#canvas.dataset.drag !== "window" || event.shiftKey || (event.buttons & ~1) !== 0;
    if (movesFilm) this.#see(panned(this.#view, picture, this.#size, now.x - before.x, now.y - before.y));
    else {
      const [dx, dy] = [(now.x - before.x) / this.#fineness(), (now.y - before.y) / this.#fineness()];
      this.#setWindow(dragged(this.#shownWindow(), this.#range, dx, dy * this.#darker()));
    }
  }

  /** Zooms where the film has the focus, or with Ctrl (which is what a pinch on a touchpad says). Else the page scrolls. */
  #wheel(event: WheelEvent): void {
    const picture = this.#picture;
    if (!picture || (document.activeElement !== this.#canvas && !event.ctrlKey)) return;
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : event.deltaY * 40;
    const factor = Math.exp(-Math.min(Math.max(lines, -100), 100) / (event.ctrlKey ? 100 : 400));
    this.#see(zoomed(this.#view, picture, this.#size, factor, this.#at(event)));
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.#pressed(event)) return;
    event.preventDefault();
  }

  #pressed({ key, shiftKey }: KeyboardEvent): boolean {
    const arrow = ARROWS[key];
    if (arrow) this.#arrow(arrow, shiftKey);
    else if (key === "+" || key === "=") this.#zoom(ZOOM_STEP);
    else if (key === "-" || key === "_") this.#zoom(1 / ZOOM_STEP);
    else if (key === "0") this.#fit();
    else if (key === "i" || key === "I") this.#invert();
    else if ((key === "r" || key === "R") && this.#picture?.stored) this.#setWindow(undefined);
    else return false;
    return true;
  }

  #arrow({ x, y }: Point, withShift: boolean): void {
    const picture = this.#picture;
    if (!picture) return;
    if (withShift && picture.stored) {
      const step = Math.max(stepOf(this.#range), this.#shownWindow().width / 50);
      this.#setWindow(changed(this.#shownWindow(), this.#range, y * step * this.#darker(), x * step));
    } else {
      const part = Math.min(this.#size.width, this.#size.height) / 10;
      this.#see(panned(this.#view, picture, this.#size, -x * part, -y * part));
    }
  }

  #zoom(factor: number): void {
    if (this.#picture) this.#see(zoomed(this.#view, this.#picture, this.#size, factor, this.#middle()));
  }

  #fit(): void {
    if (this.#picture) this.#see(fitted(this.#picture, this.#size));
  }

  #invert(): void {
    this.#isInverted = !this.#isInverted;
    named(this.#card, "invert", HTMLButtonElement).setAttribute("aria-pressed", String(this.#isInverted));
    this.#relevel();
  }

  #enlarge(): void {
    const isLarge = this.#card.toggleAttribute("data-large");
    named(this.#card, "enlarge", HTMLButtonElement).setAttribute("aria-pressed", String(isLarge));
  }

  #typed(): void {
    const [level, width] = ["level", "width"].map((name) => named(this.#card, name, HTMLInputElement).valueAsNumber);
    const before = this.#shownWindow();
    // What is no number leaves that part of the window as it was.
    this.#setWindow(
      kept(
        {
          center: Number.isFinite(level) ? (level as number) : before.center,
          width: (width as number) > 0 ? (width as number) : before.width,
        },
        this.#range,
      ),
    );
  }

  #shownWindow(): Window {
    return this.#window ?? this.#picture?.stored?.window ?? { center: 0.5, width: 1 };
  }

  /** Down is darker on every film: by a higher level, or by a lower one where high values are black. */
  #darker(): 1 | -1 {
    return this.#picture?.stored?.isInverse === this.#isInverted ? 1 : -1;
  }

  #setWindow(window: Window | undefined): void {
    if (!this.#picture?.stored) return;
    this.#window = window;
    this.#relevel();
  }

  /** The grey level of each code as it is to be seen now. */
  #relevel(): void {
    const picture = this.#picture;
    if (!picture) return;
    const { stored } = picture;
    const levels = stored && this.#window ? levelsThrough(stored, this.#window) : picture.levels;
    this.#levels = this.#isInverted ? levels.map((level) => 255 - level) : new Uint8Array(levels);
    if (stored) {
      const { center, width } = this.#shownWindow();
      named(this.#card, "level", HTMLInputElement).value = String(tidy(center));
      named(this.#card, "width", HTMLInputElement).value = String(tidy(width));
    }
    this.#draw();
  }

  #see(view: View): void {
    this.#view = view;
    this.#draw();
  }

  #resize(): void {
    const picture = this.#picture;
    if (!picture || !this.#stage.clientWidth) return;
    const fine = this.#fineness();
    const canvas = {
      width: Math.round(this.#stage.clientWidth * fine),
      height: Math.round(this.#stage.clientHeight * fine),
    };
    if (canvas.width === this.#size.width && canvas.height === this.#size.height) return;
    this.#view = this.#size.width ? resized(this.#view, picture, this.#size, canvas) : fitted(picture, canvas);
    this.#size = canvas;
    this.#image = undefined;
    // At once, for a canvas of another size is empty until it is drawn.
    this.#paint();
  }

  /** Pixels of the canvas for one of the page. */
  #fineness(): number {
    const longest = Math.max(this.#stage.clientWidth, this.#stage.clientHeight, 1);
    return Math.min(window.devicePixelRatio || 1, Math.max(1, MOST_PIXELS_A_SIDE / longest));
  }

  #draw(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => this.#paint());
  }

  #paint(): void {
    this.#isDue = false;
    const picture = this.#picture;
    const { width, height } = this.#size;
    const context = this.#canvas.getContext("2d");
    if (!picture || !context || !width || !height) return;
    if (!this.#image) {
      this.#canvas.width = width;
      this.#canvas.height = height;
      this.#image = context.createImageData(width, height);
    }
    // What the levels are of: what is stored, or the film's grey levels where those don't follow from it.
    const { codes, width: columns, height: rows } = this.#window && picture.stored ? picture.stored : picture;
    const source = { codes, width: columns, height: rows, levels: this.#levels };
    paint(source, picture, this.#view, this.#size, new Uint32Array(this.#image.data.buffer));
    context.putImageData(this.#image, 0, 0);
    this.#canvas.toggleAttribute("data-fitted", isFitted(this.#view, picture, this.#size));
    const percent = Math.round((this.#view.scale / this.#fineness()) * 100);
    named(this.#card, "scale", HTMLElement).textContent = `${percent} %`;
  }

  #middle(): Point {
    return { x: this.#size.width / 2, y: this.#size.height / 2 };
  }

  #at(event: MouseEvent): Point {
    const place = this.#canvas.getBoundingClientRect();
    const fine = this.#fineness();
    return { x: (event.clientX - place.left) * fine, y: (event.clientY - place.top) * fine };
  }
}

const ARROWS: Record<string, Point> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

function distance(one: Point, other: Point): number {
  return Math.hypot(one.x - other.x, one.y - other.y);
}

/** A file may say 1023.9999694824219. */
function tidy(value: number): number {
  return Number(value.toPrecision(6));
}
