// A film in DICOM as grey levels, by the rules of cxrscribe's docs/films.md: as a viewer would show it (PS3.4, N.2).
// Grey films of one frame; colours are refused by name, and so is what is no radiograph of a chest.

import { displayOf, shown, storedOf } from "./dicom-display.mjs";
import { readElements } from "./dicom-elements.mjs";
import { isRead, readFrame } from "./dicom-frame.mjs";
import { resample } from "./fit.mjs";
import { checkSize, FilmError, toEven } from "./levels.mjs";

/** @typedef {import("./dicom-elements.mjs").Elements} Elements */

// Of files that don't tell their modality: CR, DX for presentation and for processing, secondary capture.
const FILM_CLASSES = ["1", "1.1", "1.1.1", "7"].map((last) => `1.2.840.10008.5.1.4.1.1.${last}`);
// Defined terms of PS3.16, annex L, that are no part of the chest. Other words, of any language, may be.
const OTHER_PARTS = (
  "ABDOMEN ABDOMENPELVIS ANKLE ARM BLADDER BRAIN BREAST CALF COLON CSPINE ELBOW EXTREMITY EYE FACE FEMUR FINGER FOOT FOREARM " +
  "HAND HEAD HIP HUMERUS JAW KIDNEY KNEE LEG LSPINE LSSPINE MANDIBLE MAXILLA NASALBONE NECK ORBIT PATELLA PELVIS RADIUS " +
  "SACRUM SINUS SKULL SSPINE TIBIA TOE TOOTH WRIST ZYGOMA"
).split(" ");

/**
 * @param {Uint8Array} file
 * @param {number} rules version of the display
 * @param {import("./jpeg.mjs").Size} smallest what can be decoded at a reduced size may be, not below this
 * @param {import("./film.mjs").Host} host
 */
export async function decodeDicom(file, rules, smallest, host) {
  const codecs = host.codecs ?? {};
  const data = readElements(file, (syntax) => isRead(syntax, codecs));
  checkKind(data);
  checkPicture(data);
  const isSquare = Math.abs(pixelRatio(data) - 1) < 0.01;
  let frame = await readFrame(data, mayReduce(data, rules) && isSquare ? smallest : undefined, codecs);
  let display = displayOf(data, frame, rules);
  const isReduced = frame.width !== data.whole("columns") || frame.height !== data.whole("rows");
  if (isReduced && display.isRange) {
    // The window left nothing to see, and a range is that of single values.
    frame = await frame.whole();
    display = displayOf(data, frame, rules);
  }
  const { width, height, resolution } = frame;
  const picture = { pixels: shown(display, frame), width, height };
  if (rules > 1 && !isSquare) return squared(picture, pixelRatio(data));
  const stored = host.keepsStored ? storedOf(display, await frame.toView()) : undefined;
  return { ...picture, ...(resolution && { resolution }), ...(stored && { stored }) };
}

/**
 * Refuses what is no film of a chest, as far as the header tells.
 *
 * @param {Elements} data
 */
function checkKind(data) {
  const [modality, sopClass] = [data.text("modality").toUpperCase(), data.text("sopClass")];
  if (modality && !["CR", "DX"].includes(modality)) {
    const named = /^[A-Z]{2,16}$/.test(modality) ? `modality ${modality}` : "an unknown modality";
    throw new FilmError(`is DICOM of ${named}, no radiograph`);
  }
  if (!modality && sopClass && !FILM_CLASSES.includes(sopClass))
    throw new FilmError("is DICOM of another kind, no radiograph");
  const part = data.text("bodyPart").toUpperCase();
  if (OTHER_PARTS.includes(part)) throw new FilmError(`is a radiograph of another part of the body (${part})`);
}

/** @param {Elements} data */
function checkPicture(data) {
  const [height, width] = [data.whole("rows"), data.whole("columns")];
  if (!height || !width) throw new FilmError("is a DICOM file without a picture");
  checkSize(height, width);
  if ((data.number("frames") ?? 1) !== 1) throw new FilmError("has several frames; give one film a file");
  if ((data.whole("samples") ?? 1) !== 1 || !["MONOCHROME1", "MONOCHROME2"].includes(data.text("photometric"))) {
    throw new FilmError("has DICOM pixels of colours, and grey ones are read here");
  }
  const [allocated, stored] = [data.whole("allocated") ?? 0, data.whole("stored") ?? 0];
  const high = data.whole("high") ?? stored - 1;
  if (![8, 16].includes(allocated) || stored < 1 || stored > allocated || high !== stored - 1) {
    throw new FilmError(`has DICOM pixels of ${stored} bits in ${allocated}, which aren't read`);
  }
}

/**
 * Whether averages of values are shown as the values would be.
 *
 * @param {Elements} data
 * @param {number} rules
 */
function mayReduce(data, rules) {
  const hasWindow = data.table("voiLut") || data.number("width");
  return rules >= 3 && hasWindow && data.whole("padding") === undefined;
}

/**
 * Height over width of a pixel.
 *
 * @param {Elements} data
 */
function pixelRatio(data) {
  for (const name of /** @type {const} */ (["aspect", "spacing", "imagerSpacing", "scannedSpacing"])) {
    const [vertical, horizontal, ...others] = data.text(name).split("\\").map(Number);
    const isRatio = vertical > 0 && horizontal > 0 && vertical < Infinity && horizontal < Infinity;
    if (others.length === 0 && isRatio) return vertical / horizontal;
  }
  return 1;
}

/**
 * The picture with square pixels: the side is lengthened along which pixels are longer.
 *
 * @param {import("./levels.mjs").Picture} picture
 * @param {number} ratio
 */
function squared(picture, ratio) {
  const height = ratio > 1 ? toEven(picture.height * ratio) : picture.height;
  const width = ratio > 1 ? picture.width : toEven(picture.width / ratio);
  checkSize(height, width);
  return resample(picture, height, width);
}
