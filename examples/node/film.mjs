// A film as grey levels, whatever kind of file it is. What a file is, its first bytes say.

import { readFile } from "node:fs/promises";

import { decodeDicom, isDicom } from "./dicom.mjs";
import { decodeJpeg } from "./jpeg.mjs";
import { checkSize } from "./levels.mjs";
import { PNG_SIGNATURE, decodePng } from "./png.mjs";

/** {pixels: Uint8Array, width, height}, black 0. `preprocessing` is the model's, of its metadata. */
export async function readFilm(path, preprocessing) {
  const file = await readFile(path).catch((error) => {
    throw new Error(`${path} can't be read: ${error.message}`, { cause: error });
  });
  const { display = 1, png_range: range = "full", height, width } = preprocessing;
  try {
    // Large JPEGs are decoded at a reduced size, as the model was trained on them.
    const side = (display < 3 ? 3 : 2) * Math.max(height, width);
    const smallest = { width: side, height: side };
    if (file.subarray(0, 8).equals(PNG_SIGNATURE)) return decodePng(file, range);
    if (file.toString("latin1", 0, 3) === "\xff\xd8\xff") return decodeJpeg(file, smallest);
    if (isDicom(file)) {
      const times = display < 3 ? 3 : 2;
      return decodeDicom(file, display, { width: times * width, height: times * height });
    }
    return decodePgm(file);
  } catch (error) {
    // What zlib says, and what reads beyond the end of a buffer, says nothing to who has the file.
    const isOurs = error.constructor === Error && error.code === undefined;
    throw new Error(`${path}: ${isOurs ? error.message : "is damaged or cut off"}`, { cause: error });
  }
}

/** A binary PGM of bytes, which `cxrscribe preprocess` writes: "P5", "width height" and "255", and the pixels. */
function decodePgm(file) {
  const header = /^P5\n(\d+) (\d+)\n255\n/.exec(file.toString("latin1", 0, 64));
  const pixels = new Uint8Array(file.subarray(header ? header[0].length : 0));
  if (!header || pixels.length !== header[1] * header[2]) throw new Error("is no whole PNG, JPEG, DICOM or 8-bit PGM file");
  const [width, height] = [Number(header[1]), Number(header[2])];
  checkSize(height, width);
  return { pixels, width, height };
}
