// Which part of a film a canvas shows. Places on the film are in its pixels, those on the canvas in the canvas's.

export interface Size {
  width: number;
  height: number;
}

export interface Point {
  x: number;
  y: number;
}

export interface View {
  /** Pixels of the canvas for one of the film. */
  scale: number;
  /** The place on the film that the middle of the canvas shows. */
  center: Point;
}

/** So many pixels of the canvas one pixel of the film may have on each side. */
export const MOST_MAGNIFIED = 16;

/** The whole film, as large as the canvas lets it be. */
export function fitted(film: Size, canvas: Size): View {
  const scale = Math.min(canvas.width / film.width, canvas.height / film.height);
  return { scale, center: { x: film.width / 2, y: film.height / 2 } };
}

/** The place on the film that is shown at a place on the canvas. */
export function filmPoint(view: View, canvas: Size, at: Point): Point {
  return {
    x: view.center.x + (at.x - canvas.width / 2) / view.scale,
    y: view.center.y + (at.y - canvas.height / 2) / view.scale,
  };
}

/** `factor` times as large, with what is shown at `at` staying there. */
export function zoomed(view: View, film: Size, canvas: Size, factor: number, at: Point): View {
  const least = fitted(film, canvas).scale;
  const scale = Math.min(Math.max(view.scale * factor, least), Math.max(least, MOST_MAGNIFIED));
  const fixed = filmPoint(view, canvas, at);
  const center = {
    x: fixed.x - (at.x - canvas.width / 2) / scale,
    y: fixed.y - (at.y - canvas.height / 2) / scale,
  };
  return held({ scale, center }, film, canvas);
}

/** Moved as a hand moves the film: by so many pixels of the canvas. */
export function panned(view: View, film: Size, canvas: Size, dx: number, dy: number): View {
  const center = { x: view.center.x - dx / view.scale, y: view.center.y - dy / view.scale };
  return held({ scale: view.scale, center }, film, canvas);
}

/** The same part of the film on a canvas that has become larger or smaller. */
export function resized(view: View, film: Size, before: Size, canvas: Size): View {
  if (isFitted(view, film, before)) return fitted(film, canvas);
  const factor = fitted(film, canvas).scale / fitted(film, before).scale;
  return held({ scale: view.scale * factor, center: view.center }, film, canvas);
}

export function isFitted(view: View, film: Size, canvas: Size): boolean {
  return view.scale <= fitted(film, canvas).scale * 1.0001;
}

/** Without a gap at a side where the film could fill it. */
function held(view: View, film: Size, canvas: Size): View {
  return {
    scale: view.scale,
    center: {
      x: heldAlong(view.center.x, film.width, canvas.width / view.scale),
      y: heldAlong(view.center.y, film.height, canvas.height / view.scale),
    },
  };
}

function heldAlong(center: number, length: number, shown: number): number {
  if (shown >= length) return length / 2;
  return Math.min(Math.max(center, shown / 2), length - shown / 2);
}
