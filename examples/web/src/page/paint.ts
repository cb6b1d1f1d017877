// Draws the part of a film that is seen, and no more: a film of 20 megapixels is never colours as a whole.

import type { Size, View } from "./view.js";
import { filmPoint } from "./view.js";

/** A code for each pixel, and the grey level of each code. */
export interface Source extends Size {
  codes: Uint8Array | Uint16Array;
  levels: Uint8Array;
}

/** At most so many pixels of the film are looked at in each direction for one pixel of the canvas. */
const MOST_SAMPLES = 4;
const OPAQUE = 0xff000000;

/**
 * Fills `pixels`, RGBA of the canvas row after row, with what `view` shows of a film of size `film`. What is stored of it
 * may have another size, where its pixels aren't square. Around the film it is transparent.
 */
export function paint(source: Source, film: Size, view: View, canvas: Size, pixels: Uint32Array): void {
  pixels.fill(0);
  const first = filmPoint(view, canvas, { x: 0, y: 0 });
  const [wide, high] = [source.width / film.width, source.height / film.height];
  const isSmaller = view.scale < Math.max(wide, high);
  const across = axis(first.x * wide, view.scale / wide, canvas.width, source.width, isSmaller);
  const down = axis(first.y * high, view.scale / high, canvas.height, source.height, isSmaller);
  if (isSmaller) average(source, across, down, canvas, pixels);
  else interpolate(source, across, down, canvas, pixels);
}

/** For each pixel of the canvas along one side: where it begins on the film, as a fraction too, and which are on it. */
interface Axis {
  /** From this pixel of the canvas to that one there is film. */
  from: number;
  to: number;
  /** The place of each pixel's samples, `samples` for each. */
  places: Int32Array;
  samples: number;
  /** How much of the place behind the first one: between neighbours where the film is magnified. */
  parts: Float32Array;
}

function axis(begin: number, scale: number, length: number, filmLength: number, isSmaller: boolean): Axis {
  const samples = isSmaller ? Math.min(MOST_SAMPLES, Math.ceil(1 / scale)) : 2;
  const places = new Int32Array(length * samples);
  const parts = new Float32Array(length);
  let [from, to] = [length, 0];
  for (let n = 0; n < length; n++) {
    const middle = begin + (n + 0.5) / scale;
    if (middle < 0 || middle >= filmLength) continue;
    from = Math.min(from, n);
    to = n + 1;
    if (isSmaller) {
      for (let k = 0; k < samples; k++) {
        const place = Math.floor(begin + (n + (k + 0.5) / samples) / scale);
        places[n * samples + k] = Math.min(Math.max(place, 0), filmLength - 1);
      }
    } else {
      const place = Math.floor(middle - 0.5);
      parts[n] = middle - 0.5 - place;
      places[2 * n] = Math.max(place, 0);
      places[2 * n + 1] = Math.min(place + 1, filmLength - 1);
    }
  }
  return { from, to, places, samples, parts };
}

function average({ codes, levels, width }: Source, across: Axis, down: Axis, canvas: Size, pixels: Uint32Array): void {
  const count = across.samples * down.samples;
  for (let y = down.from; y < down.to; y++) {
    for (let x = across.from; x < across.to; x++) {
      let sum = count >> 1;
      for (let j = y * down.samples; j < (y + 1) * down.samples; j++) {
        const row = (down.places[j] as number) * width;
        for (let i = x * across.samples; i < (x + 1) * across.samples; i++) {
          sum += levels[codes[row + (across.places[i] as number)] as number] as number;
        }
      }
      pixels[y * canvas.width + x] = grey((sum / count) | 0);
    }
  }
}

function interpolate(
  { codes, levels, width }: Source,
  across: Axis,
  down: Axis,
  canvas: Size,
  pixels: Uint32Array,
): void {
  const level = (place: number) => levels[codes[place] as number] as number;
  for (let y = down.from; y < down.to; y++) {
    const upper = (down.places[2 * y] as number) * width;
    const lower = (down.places[2 * y + 1] as number) * width;
    const part = down.parts[y] as number;
    for (let x = across.from; x < across.to; x++) {
      const left = across.places[2 * x] as number;
      const right = across.places[2 * x + 1] as number;
      const more = across.parts[x] as number;
      const above = level(upper + left) * (1 - more) + level(upper + right) * more;
      const below = level(lower + left) * (1 - more) + level(lower + right) * more;
      pixels[y * canvas.width + x] = grey((above * (1 - part) + below * part + 0.5) | 0);
    }
  }
}

// The same from the left and from the right but for the alpha, which comes last in memory on every processor that has a browser.
function grey(level: number): number {
  return (OPAQUE | (level << 16) | (level << 8) | level) >>> 0;
}
