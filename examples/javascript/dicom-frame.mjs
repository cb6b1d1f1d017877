// The stored values of a DICOM film: its one frame, unpacked by what its transfer syntax says (PS3.5, 8.2 and annexes A, G).

import { joined, viewOf } from "./bytes.mjs";
import { readCodestream } from "./codestream.mjs";
import { BIG_ENDIAN } from "./dicom-elements.mjs";
import { Jpeg } from "./jpeg.mjs";
import { decodeLossless } from "./jpeg-lossless.mjs";
import { FilmError } from "./levels.mjs";

/** @typedef {Uint8Array | Uint16Array | Int8Array | Int16Array} Samples */

/**
 * @typedef {object} Codecs what a host decodes in its own way; without one, such films are refused by name
 * @property {(codestream: Uint8Array, levels: number) => Promise<Samples>} [jpeg2000] samples, row after row, of a picture
 *   that has one component, at one of its resolutions: `levels` halvings are left out
 * @property {(codestream: Uint8Array) => Promise<Samples>} [jpegLs]
 */

/**
 * @typedef {object} Frame
 * @property {Samples} values as they are meant, signs included, or as they lie in their words
 * @property {number} width
 * @property {number} height
 * @property {boolean} mayMask whether bits beyond those that are stored are to be left out; else they are an error
 * @property {Resolution} [resolution]
 * @property {() => Promise<Frame>} whole the same at its whole size
 * @property {() => Promise<Frame>} toView the same for a viewer: whole, but for JPEG 2000 of more pixels than screens have
 */

/**
 * @typedef {object} Resolution of which film a picture is a resolution of JPEG 2000
 * @property {number} height of the film, in pixels
 * @property {number} width
 * @property {number} times how many times larger the film is: 2, 4, ...
 */

const TRANSFER = "1.2.840.10008.1.2";
const NATIVE = [TRANSFER, `${TRANSFER}.1`, `${TRANSFER}.1.99`, BIG_ENDIAN];
const RLE = `${TRANSFER}.5`;
const JPEG = ["50", "51"].map((last) => `${TRANSFER}.4.${last}`); // both may have 8 or 12 bits
const LOSSLESS = ["57", "70"].map((last) => `${TRANSFER}.4.${last}`);
const JPEG_LS = ["80", "81"].map((last) => `${TRANSFER}.4.${last}`);
const JPEG_2000 = ["90", "91", "201", "202", "203"].map((last) => `${TRANSFER}.4.${last}`);
const MOST_VIEWED = 8_000_000;
const CUT_OFF = "has DICOM pixels that are cut off";
const OTHER_SIZE = "has DICOM pixels of another size than its header says";

/**
 * Whether pixels of this transfer syntax are read.
 *
 * @param {string} syntax
 * @param {Codecs} codecs
 */
export function isRead(syntax, codecs) {
  if (JPEG_2000.includes(syntax)) return codecs.jpeg2000 !== undefined;
  if (JPEG_LS.includes(syntax)) return codecs.jpegLs !== undefined;
  return [...NATIVE, RLE, ...JPEG, ...LOSSLESS].includes(syntax);
}

/**
 * @param {import("./dicom-elements.mjs").Elements} data
 * @param {import("./jpeg.mjs").Size | undefined} smallest what can be decoded at a reduced size may be, not below this
 * @param {Codecs} codecs
 * @returns {Promise<Frame>}
 */
export async function readFrame(data, smallest, codecs) {
  const [height, width, allocated] = [
    data.whole("rows") ?? 0,
    data.whole("columns") ?? 0,
    data.whole("allocated") ?? 0,
  ];
  const { value, pieces } = data.pixels ?? {};
  if (NATIVE.includes(data.syntax)) {
    if (pieces || !value || value.length < (height * width * allocated) / 8) throw new FilmError(CUT_OFF);
    return wholeFrame(native(value, data, height * width, allocated), width, height, true);
  }
  if (!pieces || pieces.length < 2) throw new FilmError(CUT_OFF);
  const frame = joined(pieces.slice(1)); // the first one is the offset table
  if (data.syntax === RLE) return wholeFrame(runLengths(frame, height * width, allocated / 8), width, height, true);
  const head = readCodestream(frame);
  if (!head) throw new FilmError("has compressed DICOM pixels that can't be understood");
  if (head.height !== height || head.width !== width) throw new FilmError(OTHER_SIZE);
  if (head.components !== 1) {
    throw new FilmError(`has compressed DICOM pixels of ${head.components} samples each, but its header says 1`);
  }
  if (head.bits > allocated) {
    throw new FilmError(`has compressed DICOM pixels of ${head.bits} bits, but its header has room for ${allocated}`);
  }
  if (JPEG_2000.includes(data.syntax)) return jpeg2000(frame, head, data, smallest, codecs);
  if (JPEG_LS.includes(data.syntax)) {
    if (head.kind !== "JPEG-LS" || !codecs.jpegLs)
      throw new FilmError("has compressed DICOM pixels that can't be understood");
    const values = asStored(await decoded(codecs.jpegLs(frame), height * width), data);
    return wholeFrame(values, width, height, data.isSigned);
  }
  const isLossy = JPEG.includes(data.syntax);
  if (head.kind === "JPEG lossless" || head.bits === 12) {
    if (!endsAsJpeg(frame)) throw new FilmError(CUT_OFF); // what is missing would be made up
    const values = head.kind === "JPEG lossless" ? decodeLossless(frame, head) : new Jpeg(frame, 12).render().pixels;
    return wholeFrame(asStored(values, data), width, height, data.isSigned);
  }
  if (head.kind !== "JPEG" || head.bits !== 8) {
    throw new FilmError(`has JPEG pixels of ${head.bits} bits, where 8 and 12 are read, and 2 to 16 of lossless ones`);
  }
  return jpeg(frame, data, isLossy ? smallest : undefined);
}

/**
 * @param {Samples} values
 * @param {number} width
 * @param {number} height
 * @param {boolean} mayMask
 * @returns {Frame}
 */
function wholeFrame(values, width, height, mayMask) {
  /** @type {Frame} */
  const frame = { values, width, height, mayMask, whole: async () => frame, toView: async () => frame };
  return frame;
}

/**
 * What a codec gave, which has to be all samples.
 *
 * @param {Promise<Samples>} codec
 * @param {number} count
 */
async function decoded(codec, count) {
  const samples = await codec;
  if (samples.length !== count) throw new FilmError(samples.length < count ? CUT_OFF : OTHER_SIZE);
  return samples;
}

/**
 * Samples of a decoder that knows no sign. What a sign is, the number of stored bits says, so that they are masked.
 *
 * @param {Samples} values
 * @param {import("./dicom-elements.mjs").Elements} data
 */
function asStored(values, data) {
  return data.isSigned && values instanceof Uint16Array
    ? new Int16Array(values.buffer, values.byteOffset, values.length)
    : values;
}

/**
 * Pixels that aren't compressed.
 *
 * @param {Uint8Array} value
 * @param {import("./dicom-elements.mjs").Elements} data
 * @param {number} count
 * @param {number} allocated
 */
function native(value, data, count, allocated) {
  if (allocated === 8) {
    if (data.syntax === BIG_ENDIAN) throw new FilmError("has single bytes in big endian, which aren't read here");
    return value.subarray(0, count);
  }
  const values = new Uint16Array(value.slice(0, 2 * count).buffer); // wherever it lies, it begins at a whole word now
  const isLittle = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  if (isLittle !== data.isLittle) for (let n = 0; n < count; n++) values[n] = (values[n] << 8) | (values[n] >> 8);
  return values;
}

/**
 * PS3.5, annex G: a segment has one byte of each sample, the first one the highest.
 *
 * @param {Uint8Array} frame
 * @param {number} count
 * @param {number} bytes
 */
function runLengths(frame, count, bytes) {
  const values = bytes === 1 ? new Uint8Array(count) : new Uint16Array(count);
  if (frame.length < 64) throw new FilmError(CUT_OFF);
  const view = viewOf(frame);
  const starts = Array.from({ length: bytes }, (_, n) => view.getUint32(4 + 4 * n, true));
  if (view.getUint32(0, true) !== bytes || starts[0] < 64 || starts[bytes - 1] < starts[0])
    throw new FilmError(OTHER_SIZE);
  starts.forEach((start, segment) => {
    const end = Math.min(starts[segment + 1] ?? frame.length, frame.length);
    const shift = 8 * (bytes - 1 - segment);
    let n = 0;
    for (let place = start; place < end && n < count; ) {
      const head = frame[place++];
      if (head === 128) continue;
      const repeats = head > 128;
      const to = Math.min(count, n + (repeats ? 257 - head : head + 1));
      if (place + (repeats ? 1 : to - n) > end) throw new FilmError(CUT_OFF);
      while (n < to) values[n++] |= frame[repeats ? place : place++] << shift;
      if (repeats) place++;
    }
    if (n < count) throw new FilmError(CUT_OFF);
  });
  return values;
}

/**
 * The end of a JPEG, up to 16 bytes of padding left out.
 *
 * @param {Uint8Array} frame
 */
function endsAsJpeg(frame) {
  const place = frame.lastIndexOf(0xd9);
  return place >= Math.max(1, frame.length - 15) && frame[place - 1] === 0xff;
}

/**
 * @param {Uint8Array} frame
 * @param {import("./dicom-elements.mjs").Elements} data
 * @param {import("./jpeg.mjs").Size | undefined} smallest
 * @returns {Frame}
 */
function jpeg(frame, data, smallest) {
  const picture = new Jpeg(frame, 8);
  const { isSigned } = data; // neighbours of 127 and -128 have no average
  const rendered = (/** @type {import("./jpeg.mjs").Size | undefined} */ size) => {
    const { pixels, width, height } = picture.render(size);
    const values = isSigned ? new Int8Array(pixels.buffer) : pixels;
    return { values, width, height, mayMask: false };
  };
  const whole = async () =>
    wholeFrame(rendered(undefined).values, data.whole("columns") ?? 0, data.whole("rows") ?? 0, false);
  return { ...rendered(isSigned ? undefined : smallest), whole, toView: whole };
}

/**
 * @param {Uint8Array} frame
 * @param {import("./codestream.mjs").Codestream} head
 * @param {import("./dicom-elements.mjs").Elements} data
 * @param {import("./jpeg.mjs").Size | undefined} smallest
 * @param {Codecs} codecs
 * @returns {Promise<Frame>}
 */
async function jpeg2000(frame, head, data, smallest, codecs) {
  const codec = codecs.jpeg2000;
  if (head.kind !== "JPEG 2000" || !codec) throw new FilmError("has compressed DICOM pixels that can't be understood");
  if (head.bits > 16) throw new FilmError(`has JPEG 2000 pixels of ${head.bits} bits, and 1 to 16 are read`);
  const codestream = frame.subarray(head.start);
  const meansTheSame = head.bits === data.whole("stored") && head.isSigned === data.isSigned && head.isAtOrigin;
  const levels = smallest && meansTheSame ? levelsToSpare(head, smallest) : 0;
  const at = async (/** @type {number} */ spared) => {
    const [width, height] = [head.width, head.height].map((side) => Math.ceil(side / 2 ** spared));
    const samples = await decoded(codec(codestream, spared), width * height);
    return wholeFrame(asMeant(samples, head, data.isSigned), width, height, false);
  };
  if (!levels) return at(0);
  const resolution = { height: head.height, width: head.width, times: 2 ** levels };
  // The finest half takes most of the time: of 20 megapixels, four times as much as all the rest.
  const spared = head.height * head.width > MOST_VIEWED ? 1 : 0;
  return { ...(await at(levels)), resolution, whole: () => at(0), toView: () => at(Math.min(spared, levels)) };
}

/**
 * How often both sides can be halved.
 *
 * @param {import("./codestream.mjs").Codestream} head
 * @param {import("./jpeg.mjs").Size} smallest
 */
function levelsToSpare(head, smallest) {
  let levels = 0;
  while (
    levels < head.levels &&
    head.height >> (levels + 1) >= smallest.height &&
    head.width >> (levels + 1) >= smallest.width
  ) {
    levels++;
  }
  return levels;
}

/**
 * Samples whose sign, or its absence, is that of the DICOM header: their bits mean what that says.
 *
 * @param {Samples} samples
 * @param {import("./codestream.mjs").Codestream} head
 * @param {boolean} isSigned
 */
function asMeant(samples, head, isSigned) {
  if (head.isSigned === isSigned) return samples;
  const values = isSigned ? new Int16Array(samples.length) : new Uint16Array(samples.length);
  const shift = 32 - head.bits;
  for (let n = 0; n < values.length; n++) {
    const pattern = samples[n] << shift;
    values[n] = isSigned ? pattern >> shift : pattern >>> shift;
  }
  return values;
}
