// A film as grey levels, whatever kind of file it is. What a file is, its first bytes say.

import { textOf } from "./bytes.mjs";
import { decodeDicom } from "./dicom.mjs";
import { isDicom } from "./dicom-elements.mjs";
import { decodeJpeg, isJpeg } from "./jpeg.mjs";
import { checkSize, FilmError } from "./levels.mjs";
import { decodePng, isPng } from "./png.mjs";

/** @typedef {import("../web/src/types.js").Film} Film */

/**
 * @typedef {object} Preprocessing a model's, of its metadata
 * @property {number} height
 * @property {number} width
 * @property {number} [display] version of the rules by which films are shown
 * @property {"used" | "full"} [png_range]
 */

/**
 * @typedef {object} Host what differs between those who read films
 * @property {import("./dicom-frame.mjs").Codecs} [codecs]
 * @property {boolean} [keepsStored] whether DICOM's stored values are wanted, to be shown through other windows
 */

/**
 * The film in the bytes of a file. Throws an Error that says what is wrong with it, without its name.
 *
 * Large JPEG and JPEG 2000 come at a reduced size, as the model was trained on them; `resolution` is for `fitFilm`.
 *
 * @param {Uint8Array} file
 * @param {Preprocessing} preprocessing
 * @param {Host} [host]
 * @returns {Promise<Film & { resolution?: import("./dicom-frame.mjs").Resolution }>}
 */
export async function readFilm(file, preprocessing, host = {}) {
  try {
    // Not as a Buffer of Node's, which has a meaning of its own for `slice`.
    const bytes = new Uint8Array(file.buffer, file.byteOffset, file.length);
    return await decoded(bytes, preprocessing, host);
  } catch (error) {
    if (error instanceof FilmError) throw error;
    // What reads beyond the end of its bytes, or what a codec throws, says nothing to who has the file.
    const isMemory = error instanceof Error && /alloc|memory|array length/i.test(error.message);
    throw new FilmError(isMemory ? "does not fit in memory; reduce it first" : "is damaged or cut off", {
      cause: error,
    });
  }
}

/**
 * @param {Uint8Array} file
 * @param {Preprocessing} preprocessing
 * @param {Host} host
 * @returns {Promise<Film & { resolution?: import("./dicom-frame.mjs").Resolution }>}
 */
async function decoded(file, { height, width, display = 1, png_range: range = "full" }, host) {
  const times = display < 3 ? 3 : 2;
  const side = times * Math.max(height, width); // EXIF could still turn a JPEG
  if (isPng(file)) return { kind: "PNG", ...decodePng(file, range) };
  if (isJpeg(file)) return { kind: "JPEG", ...decodeJpeg(file, { width: side, height: side }) };
  if (isDicom(file)) {
    const smallest = { width: times * width, height: times * height };
    return { kind: "DICOM", ...(await decodeDicom(file, display, smallest, host)) };
  }
  return { kind: "PGM", ...decodePgm(file) };
}

/**
 * A binary PGM of bytes, which `cxrscribe preprocess` writes: "P5", "width height" and "255", and the pixels.
 *
 * @param {Uint8Array} file
 */
function decodePgm(file) {
  const header = /^P5\n(\d+) (\d+)\n255\n/.exec(textOf(file, 0, 64));
  const [width, height] = header ? [Number(header[1]), Number(header[2])] : [0, 0];
  const pixels = file.slice(header ? header[0].length : 0);
  if (!header || pixels.length !== width * height)
    throw new FilmError("is no whole PNG, JPEG, DICOM or 8-bit PGM file");
  checkSize(height, width);
  return { pixels, width, height };
}
