// The samples of a PNG (ISO/IEC 15948) as grey levels, by the rules of cxrscribe's docs/films.md.

import { joined, startsWith, textOf, viewOf } from "./bytes.mjs";
import { inflate } from "./inflate.mjs";
import { checkSize, exifOrientation, FilmError, luma, show16Bit } from "./levels.mjs";

/** @typedef {{ width: number, height: number, depth: number, colour: number, interlaced: boolean }} Header */

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const [GREY, RGB, PALETTE, GREY_ALPHA, RGBA] = [0, 2, 3, 4, 6];
/** @type {Record<number, number>} Of a pixel, by colour type. */
const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
/** @type {Record<number, number[]>} */
const DEPTHS = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] };
/** @type {Record<number, number>} Bytes of the one colour that is transparent. */
const TRANSPARENCY = { 0: 2, 2: 6 };
// Adam7: first column and row of each pass, and the steps to the next.
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];
const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

/** @param {Uint8Array} file */
export function isPng(file) {
  return startsWith(file, SIGNATURE);
}

/**
 * @param {Uint8Array} file
 * @param {"used" | "full"} range what of 16-bit grey is black and white
 * @returns {import("./levels.mjs").Picture}
 */
export function decodePng(file, range) {
  const { header, palette, transparency, data } = readChunks(file);
  const { width, height, depth, colour } = header;
  const channels = CHANNELS[colour];
  if (!DEPTHS[colour]?.includes(depth)) throw new FilmError("is a damaged PNG file");
  if (colour === PALETTE && !palette) throw new FilmError("is a damaged PNG file: it has no palette");
  if (transparency && transparency.length < TRANSPARENCY[colour]) throw new FilmError("is a damaged PNG file");
  checkSize(height, width);
  // Interlaced rows take less than twice as much; a file that has far more in it is a bomb.
  const most = 2 * height * (Math.ceil((width * channels * depth) / 8) + 1) + 65536;
  const samples = unfilter(inflate(joined(data), most), header, channels);
  if (colour === GREY && depth === 16) {
    const transparent = transparency && viewOf(transparency).getUint16(0);
    return { pixels: show16Bit(samples, range, transparent), width, height };
  }
  return { pixels: grey(samples, header, palette, transparency), width, height };
}

/** @param {Uint8Array} file */
function readChunks(file) {
  /** @type {Header | undefined} */
  let header;
  /** @type {Uint8Array | undefined} */
  let palette;
  /** @type {Uint8Array | undefined} */
  let transparency;
  const data = [];
  const view = viewOf(file);
  for (let place = SIGNATURE.length; ; ) {
    const length = place + 12 <= file.length ? view.getUint32(place) : Infinity;
    const end = place + 8 + length;
    if (end + 4 > file.length) throw new FilmError("is a PNG file that is cut off");
    if (crc32(file.subarray(place + 4, end)) !== view.getUint32(end)) {
      throw new FilmError(`is a damaged PNG file: the chunk at byte ${place} has a wrong checksum`);
    }
    const kind = textOf(file, place + 4, place + 8);
    const content = file.subarray(place + 8, end);
    if (kind === "IHDR") header = readHeader(content);
    else if (kind === "PLTE") palette = content;
    else if (kind === "tRNS") transparency = content;
    else if (kind === "IDAT") data.push(content);
    else if (kind === "acTL") throw new FilmError("is an animation; give one film a file");
    else if (kind === "eXIf" && exifOrientation(content) > 1) throw new FilmError("is turned by EXIF: save it upright");
    else if (kind === "IEND") break;
    place = end + 4;
  }
  if (!header) throw new FilmError("is a damaged PNG file: it has no header");
  return { header, palette, transparency, data };
}

/** @param {Uint8Array} content */
function readHeader(content) {
  const view = viewOf(content);
  if (content[12] > 1) throw new FilmError(`is a damaged PNG file: it is interlaced by method ${content[12]}`);
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    depth: content[8],
    colour: content[9],
    interlaced: content[12] === 1,
  };
}

/** @param {Uint8Array} bytes */
function crc32(bytes) {
  let value = 0xffffffff;
  for (let n = 0; n < bytes.length; n++) value = CRC[(value ^ bytes[n]) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

/**
 * Samples [height * width * channels] of rows that are filtered, each behind the number of its filter.
 *
 * @param {Uint8Array} raw
 * @param {Header} header
 * @param {number} channels
 */
function unfilter(raw, { width, height, depth, interlaced }, channels) {
  const samples = new Uint16Array(width * height * channels);
  const back = Math.max(1, (channels * depth) >> 3); // bytes to the pixel on the left
  let place = 0;
  for (const [left, top, stepX, stepY] of interlaced ? PASSES : [[0, 0, 1, 1]]) {
    const columns = Math.ceil((width - left) / stepX);
    const rows = Math.ceil((height - top) / stepY);
    if (columns <= 0 || rows <= 0) continue;
    const size = Math.ceil((columns * channels * depth) / 8);
    /** @type {Uint8Array} */
    let above = new Uint8Array(size);
    for (let y = 0; y < rows; y++, place += size + 1) {
      if (place + 1 + size > raw.length) throw new FilmError("is a PNG file that has too few rows");
      const row = raw.subarray(place + 1, place + 1 + size);
      unfilterRow(raw[place], row, above, back);
      above = row;
      const start = ((top + y * stepY) * width + left) * channels;
      spread(row, depth, samples, start, columns, channels, stepX * channels);
    }
  }
  return samples;
}

/**
 * @param {number} filter
 * @param {Uint8Array} row
 * @param {Uint8Array} above
 * @param {number} back
 */
function unfilterRow(filter, row, above, back) {
  const { length } = row;
  if (filter > 4) throw new FilmError("is a damaged PNG file");
  if (filter === 1) for (let i = back; i < length; i++) row[i] += row[i - back];
  else if (filter === 2) for (let i = 0; i < length; i++) row[i] += above[i];
  else if (filter === 3) {
    for (let i = 0; i < length; i++) row[i] += ((i < back ? 0 : row[i - back]) + above[i]) >> 1;
  } else if (filter === 4) {
    for (let i = 0; i < back && i < length; i++) row[i] += above[i];
    for (let i = back; i < length; i++) {
      const a = row[i - back];
      const b = above[i];
      const c = above[i - back];
      const toA = Math.abs(b - c);
      const toB = Math.abs(a - c);
      const toC = Math.abs(a + b - 2 * c);
      row[i] += toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
    }
  }
}

/**
 * Puts the samples of a row where they belong: pixels from `start` on, `step` apart.
 *
 * @param {Uint8Array} row
 * @param {number} depth
 * @param {Uint16Array} samples
 * @param {number} start
 * @param {number} columns
 * @param {number} channels
 * @param {number} step
 */
function spread(row, depth, samples, start, columns, channels, step) {
  if (depth === 8 && step === channels) {
    samples.set(row, start);
    return;
  }
  const most = (1 << depth) - 1;
  for (let x = 0, n = 0; x < columns; x++) {
    for (let c = 0; c < channels; c++, n++) {
      const to = start + x * step + c;
      if (depth === 16) samples[to] = row[2 * n] * 256 + row[2 * n + 1];
      else if (depth === 8) samples[to] = row[n];
      else samples[to] = (row[(n * depth) >> 3] >> (8 - depth - ((n * depth) & 7))) & most;
    }
  }
}

/**
 * Grey levels of everything but 16-bit grey: the high byte counts, colour becomes luma and lies over black.
 *
 * @param {Uint16Array} samples
 * @param {Header} header
 * @param {Uint8Array} [palette]
 * @param {Uint8Array} [transparency]
 */
function grey(samples, { width, height, depth, colour }, palette, transparency) {
  const pixels = new Uint8Array(width * height);
  const channels = CHANNELS[colour];
  const shift = depth === 16 ? 8 : 0;
  const white = (1 << depth) - 1;
  if (colour === RGB && depth === 16 && transparency) {
    throw new FilmError("has 16-bit colours, of which one is transparent");
  }
  const clear = transparency && TRANSPARENCY[colour] ? [0, 2, 4].map((place) => sampleAt(transparency, place)) : [];
  for (let i = 0, s = 0; i < pixels.length; i++, s += channels) {
    let level;
    let alpha = 255;
    if (colour === GREY || colour === GREY_ALPHA) {
      level = depth < 8 ? Math.floor((samples[s] * 255) / white) : samples[s] >> shift;
      if (colour === GREY_ALPHA) alpha = samples[s + 1] >> shift;
      else if (samples[s] === clear[0]) alpha = 0;
    } else if (colour === PALETTE && palette) {
      const entry = samples[s];
      if (3 * entry + 2 >= palette.length)
        throw new FilmError("is a damaged PNG file: it has a colour out of its palette");
      level = luma(palette[3 * entry], palette[3 * entry + 1], palette[3 * entry + 2]);
      alpha = transparency?.[entry] ?? 255;
    } else {
      level = luma(samples[s] >> shift, samples[s + 1] >> shift, samples[s + 2] >> shift);
      if (colour === RGBA) alpha = samples[s + 3] >> shift;
      else if (samples[s] === clear[0] && samples[s + 1] === clear[1] && samples[s + 2] === clear[2]) alpha = 0;
    }
    // Over black, as Pillow rounds it.
    pixels[i] = alpha === 255 ? level : Math.floor((level * alpha) / 255);
  }
  return pixels;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} place
 */
function sampleAt(bytes, place) {
  return place + 2 <= bytes.length ? bytes[place] * 256 + bytes[place + 1] : undefined;
}
