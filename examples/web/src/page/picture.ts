// A film as a page shows it: a code for each pixel, and the grey level of each code.

import type { Film, Stored } from "../types.js";

export interface Picture {
  /** Of each pixel, row after row: a place in the levels. */
  codes: Uint8Array | Uint16Array;
  width: number;
  height: number;
  /** The grey level of each code as the report reads the film. */
  levels: Uint8Array;
  /** What can be seen through another window; absent for films that have none. */
  stored?: Stored;
}

/** What is kept of a film. The bytes of a DICOM film are in there once: what the model reads follows from what is stored. */
export function pictureOf({ pixels, width, height, stored }: Film): Picture {
  const levels = stored && stored.width === width && stored.height === height && levelsOf(stored, pixels);
  if (stored && levels) return { codes: stored.codes, width, height, levels, stored };
  const picture = { codes: pixels, width, height, levels: Uint8Array.from({ length: 256 }, (_, level) => level) };
  return stored ? { ...picture, stored } : picture;
}

/** The grey level that each code has in a film; undefined where one code has several. */
function levelsOf(stored: Stored, pixels: Uint8Array): Uint8Array | undefined {
  const levels = new Uint8Array(stored.values.length);
  const isKnown = new Uint8Array(stored.values.length);
  for (let place = 0; place < pixels.length; place++) {
    const code = stored.codes[place] as number;
    const level = pixels[place] as number;
    if (isKnown[code] && levels[code] !== level) return undefined;
    levels[code] = level;
    isKnown[code] = 1;
  }
  return levels;
}

/** How many bytes a picture holds on to. */
export function bytesOf({ codes, stored }: Picture): number {
  return codes.byteLength + (stored && stored.codes !== codes ? stored.codes.byteLength : 0);
}

/** A picture of at most `most` pixels on a side: every second, third, ... pixel of one that is larger. */
export function reduced(picture: Picture, most: number): Picture {
  const every = Math.ceil(Math.max(picture.width, picture.height) / most);
  if (every <= 1) return picture;
  const small = thinned(picture.codes, picture.width, picture.height, every);
  const { stored } = picture;
  if (!stored) return { ...small, levels: picture.levels };
  const smallStored =
    stored.codes === picture.codes ? small : thinned(stored.codes, stored.width, stored.height, every);
  return { ...small, levels: picture.levels, stored: { ...stored, ...smallStored } };
}

// Codes have no average: what lies between two of them may mean something else.
function thinned(codes: Uint8Array | Uint16Array, width: number, height: number, every: number) {
  const small = { width: Math.floor(width / every) || 1, height: Math.floor(height / every) || 1 };
  const length = small.width * small.height;
  const thin = codes instanceof Uint8Array ? new Uint8Array(length) : new Uint16Array(length);
  for (let y = 0, place = 0; y < small.height; y++) {
    const row = Math.min(y * every + (every >> 1), height - 1) * width;
    for (let x = 0; x < small.width; x++) {
      thin[place++] = codes[row + Math.min(x * every + (every >> 1), width - 1)] as number;
    }
  }
  return { codes: thin, ...small };
}

/** Of all films that the page shows. A film of 20 megapixels and 16 bits takes 40 of them. */
const MEGABYTES_KEPT = 400;

/** The places of the films, from the first one on, that have to be reduced for the newest to be kept whole. */
export function toReduce(pictures: readonly Picture[], megabytes = MEGABYTES_KEPT): number[] {
  const places: number[] = [];
  let sum = 0;
  for (let place = pictures.length - 1; place >= 0; place--) {
    const bytes = bytesOf(pictures[place] as Picture);
    if (sum + bytes > megabytes * 1e6 && place < pictures.length - 1) places.unshift(place);
    else sum += bytes;
  }
  return places;
}
