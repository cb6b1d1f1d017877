// What a compressed picture inside a DICOM file says of itself, read without decoding it.

import { startsWith, textOf, viewOf } from "./bytes.mjs";

/**
 * @typedef {object} Codestream the head of a compressed picture
 * @property {"JPEG" | "JPEG lossless" | "JPEG-LS" | "JPEG 2000"} kind
 * @property {number} height
 * @property {number} width
 * @property {number} components samples a pixel: 1 for grey
 * @property {number} bits of a sample of the first component
 * @property {number} start where it begins, behind the boxes of a file of its own
 * @property {boolean} isSigned
 * @property {boolean} isAtOrigin whether the grid of JPEG 2000 begins where its first pixel and its first tile are
 * @property {number} levels how often JPEG 2000 can leave out the finest half of its resolution
 */

const J2K_START = [0xff, 0x4f, 0xff, 0x51]; // start of codestream, and SIZ right behind it
const [COD, COC, TILE] = [0xff52, 0xff53, 0xff90];
const NO_FRAMES = [0xc4, 0xc8, 0xcc]; // in the range of the starts of frames
const [SOF3, JPEG_LS] = [0xc3, 0xf7];

/**
 * The head of a JPEG, JPEG-LS or JPEG 2000 picture; undefined for anything else.
 *
 * @param {Uint8Array} frame
 * @returns {Codestream | undefined}
 */
export function readCodestream(frame) {
  if (startsWith(frame, [0xff, 0xd8])) return readJpeg(frame);
  const start = startOfJpeg2000(frame);
  if (start === undefined || frame.length < start + 43) return undefined;
  const view = viewOf(frame);
  const [width, height, left, top, , , tileLeft, tileTop] = Array.from({ length: 8 }, (_, n) =>
    view.getUint32(start + 8 + 4 * n),
  );
  const depth = frame[start + 42];
  return {
    kind: "JPEG 2000",
    height: height - top,
    width: width - left,
    components: view.getUint16(start + 40),
    bits: (depth & 0x7f) + 1,
    start,
    isSigned: depth > 0x7f,
    isAtOrigin: !(left || top || tileLeft || tileTop),
    levels: levelsOf(frame, view, start),
  };
}

/**
 * Where the codestream begins: at once, or in the box `jp2c` of a JP2 file (ISO/IEC 15444-1, annex I).
 *
 * @param {Uint8Array} frame
 */
function startOfJpeg2000(frame) {
  if (startsWith(frame, J2K_START)) return 0;
  const view = viewOf(frame);
  for (let place = 0; place + 8 <= frame.length; ) {
    let [length, head] = [view.getUint32(place), 8];
    const kind = textOf(frame, place + 4, place + 8);
    if (length === 1 && place + 16 <= frame.length) {
      [length, head] = [view.getUint32(place + 8) * 2 ** 32 + view.getUint32(place + 12), 16];
    }
    if (kind === "jp2c") return startsWith(frame.subarray(place + head), J2K_START) ? place + head : undefined;
    if (length < head) return undefined; // 0: up to the end of the file, which only the codestream may be
    place += length;
  }
  return undefined;
}

/**
 * Decomposition levels, by COD in the main header (A.6.1); 0 where components may differ (COC).
 *
 * @param {Uint8Array} frame
 * @param {DataView} view
 * @param {number} start
 */
function levelsOf(frame, view, start) {
  let levels = 0;
  for (let place = start + 2; place + 10 <= frame.length; place += 2 + view.getUint16(place + 2)) {
    const marker = view.getUint16(place);
    if (marker === TILE) return levels;
    if (marker === COC || marker < 0xff00) return 0;
    if (marker === COD) levels = frame[place + 9];
  }
  return 0;
}

/**
 * @param {Uint8Array} frame
 * @returns {Codestream | undefined}
 */
function readJpeg(frame) {
  const view = viewOf(frame);
  for (let place = 2; place + 10 <= frame.length; ) {
    const marker = frame[place + 1];
    if (frame[place] !== 0xff || (marker < 0xc0 && marker !== 0x01)) return undefined;
    if (marker === 0xff)
      place += 1; // it fills
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd9))
      place += 2; // no length follows
    else if ((marker >= 0xc0 && marker <= 0xcf && !NO_FRAMES.includes(marker)) || marker === JPEG_LS) {
      return {
        kind: marker === SOF3 ? "JPEG lossless" : marker === JPEG_LS ? "JPEG-LS" : "JPEG",
        bits: frame[place + 4],
        height: view.getUint16(place + 5),
        width: view.getUint16(place + 7),
        components: frame[place + 9],
        start: 0,
        isSigned: false,
        isAtOrigin: true,
        levels: 0,
      };
    } else place += 2 + view.getUint16(place + 2);
  }
  return undefined;
}
