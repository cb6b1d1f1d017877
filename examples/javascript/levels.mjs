// Grey levels, and what files of every kind are checked for: cxrscribe's docs/films.md.

import { textOf, viewOf } from "./bytes.mjs";

/** @typedef {{ pixels: Uint8Array, width: number, height: number }} Picture grey, black 0, row after row from the top */

/** What is wrong with a film, said to who gave it: a sentence without its subject, which is the film. */
export class FilmError extends Error {}

/**
 * Throw where a film's size is none that is read, before its pixels are unpacked.
 *
 * @param {number} height
 * @param {number} width
 */
export function checkSize(height, width) {
  if (!(Math.min(height, width) >= 16 && Math.max(height, width) <= 20000 && height * width <= 100_000_000)) {
    throw new FilmError(`has ${height} x ${width} pixels; sides of 16 to 20000 are read, and up to 100 megapixels`);
  }
}

/**
 * ITU-R 601, as Pillow rounds it.
 *
 * @param {number} red
 * @param {number} green
 * @param {number} blue
 */
export function luma(red, green, blue) {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

/**
 * To the nearest whole number, of two as near to the even one: numpy's rint.
 *
 * @param {number} value
 */
export function toEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

/**
 * Brightness 0 to 1 of a value, where `least` is black and `largest` is white.
 *
 * @param {number} value
 * @param {number} least
 * @param {number} largest
 */
export function stretched(value, least, largest) {
  return Math.min(1, Math.max(0, (value - least) / Math.max(largest - least, 1e-12)));
}

/**
 * Bytes of 16-bit values; those that are `transparent` are black.
 *
 * @param {Uint16Array} values
 * @param {"used" | "full"} range
 * @param {number} [transparent]
 */
export function show16Bit(values, range, transparent) {
  let [least, largest] = [65535, 0];
  for (let n = 0; n < values.length; n++) {
    const value = values[n];
    if (value === transparent) continue;
    if (value < least) least = value;
    if (value > largest) largest = value;
  }
  if (least > largest) least = largest = transparent ?? 0; // everything is
  const table = new Uint8Array(65536);
  for (let value = 0; value < table.length; value++) {
    table[value] = range === "full" ? (value + 128) / 257 : toEven(stretched(value, least, largest) * 255);
  }
  if (transparent !== undefined) table[transparent] = 0;
  return lookedUp(table, values);
}

/**
 * A table's byte of each value, of which the lowest 16 bits count, negative ones' too.
 *
 * @param {Uint8Array} table
 * @param {Uint8Array | Uint16Array | Int8Array | Int16Array} values
 */
export function lookedUp(table, values) {
  const found = new Uint8Array(values.length);
  for (let n = 0; n < found.length; n++) found[n] = table[values[n] & 0xffff];
  return found;
}

/**
 * Which corner of the pixels is the top left one, 1 to 8, of the content of EXIF (TIFF with the tag 274).
 *
 * @param {Uint8Array} exif
 */
export function exifOrientation(exif) {
  const little = textOf(exif, 0, 2) === "II";
  const view = viewOf(exif);
  try {
    const directory = view.getUint32(4, little);
    for (let n = 0; n < view.getUint16(directory, little); n++) {
      if (view.getUint16(directory + 2 + 12 * n, little) === 274) {
        const corner = view.getUint16(directory + 10 + 12 * n, little);
        return corner <= 8 ? corner : 1; // others have no meaning
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // damaged EXIF says nothing
  }
  return 1;
}
