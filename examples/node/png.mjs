// The samples of a PNG (ISO/IEC 15948) as grey levels, by the rules of cxrscribe's docs/films.md.

import { inflateSync } from "node:zlib";

import { checkSize, exifOrientation, luma, show16Bit } from "./levels.mjs";

export const PNG_SIGNATURE = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");

const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }; // of a pixel, by colour type
const DEPTHS = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] };
const TRANSPARENCY = { 0: 2, 2: 6 }; // bytes of the one colour that is transparent
const [GREY, RGB, PALETTE, GREY_ALPHA, RGBA] = [0, 2, 3, 4, 6];
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

/** {pixels: Uint8Array, width, height}, black 0. `file` is a Buffer; `range` is `used` or `full`. */
export function decodePng(file, range) {
  const { header, palette, transparency, data } = readChunks(file);
  const { width, height, depth, colour } = header;
  const channels = CHANNELS[colour];
  if (!DEPTHS[colour]?.includes(depth)) throw new Error("is a damaged PNG file");
  if (colour === PALETTE && !palette) throw new Error("is a damaged PNG file: it has no palette");
  if (transparency?.length < TRANSPARENCY[colour]) throw new Error("is a damaged PNG file");
  checkSize(height, width);
  // Interlaced rows take less than twice as much; a file that has far more in it is a bomb.
  const most = 2 * height * (Math.ceil((width * channels * depth) / 8) + 1) + 65536;
  const samples = unfilter(inflateSync(Buffer.concat(data), { maxOutputLength: most }), header, channels);
  if (colour === GREY && depth === 16) {
    const transparent = transparency?.readUInt16BE(0);
    return { pixels: show16Bit(samples, range, transparent), width, height };
  }
  return { pixels: grey(samples, header, palette, transparency), width, height };
}

function readChunks(file) {
  let header, palette, transparency;
  const data = [];
  for (let place = PNG_SIGNATURE.length; ; ) {
    const length = place + 12 <= file.length ? file.readUInt32BE(place) : Infinity;
    const end = place + 8 + length;
    if (end + 4 > file.length) throw new Error("is a PNG file that is cut off");
    if (crc32(file.subarray(place + 4, end)) !== file.readUInt32BE(end)) {
      throw new Error(`is a damaged PNG file: the chunk at byte ${place} has a wrong checksum`);
    }
    const kind = file.toString("latin1", place + 4, place + 8);
    const content = file.subarray(place + 8, end);
    if (kind === "IHDR") {
      header = { width: content.readUInt32BE(0), height: content.readUInt32BE(4), depth: content[8], colour: content[9] };
      header.interlaced = content[12] === 1;
      if (content[12] > 1) throw new Error(`is a damaged PNG file: it is interlaced by method ${content[12]}`);
    } else if (kind === "PLTE") palette = content;
    else if (kind === "tRNS") transparency = content;
    else if (kind === "IDAT") data.push(content);
    else if (kind === "acTL") throw new Error("is an animation; give one film a file");
    else if (kind === "eXIf" && exifOrientation(content) > 1) throw new Error("is turned by EXIF: save it upright");
    else if (kind === "IEND") break;
    place = end + 4;
  }
  if (!header) throw new Error("is a damaged PNG file: it has no header");
  return { header, palette, transparency, data };
}

function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

/** Samples Uint16Array [height * width * channels] of rows that are filtered, each behind the number of its filter. */
function unfilter(raw, { width, height, depth, interlaced }, channels) {
  const samples = new Uint16Array(width * height * channels);
  const back = Math.max(1, (channels * depth) >> 3); // bytes to the pixel on the left
  let place = 0;
  for (const [left, top, stepX, stepY] of interlaced ? PASSES : [[0, 0, 1, 1]]) {
    const columns = Math.ceil((width - left) / stepX);
    const rows = Math.ceil((height - top) / stepY);
    if (columns <= 0 || rows <= 0) continue;
    const size = Math.ceil((columns * channels * depth) / 8);
    let above = new Uint8Array(size);
    for (let y = 0; y < rows; y++, place += size + 1) {
      if (place + 1 + size > raw.length) throw new Error("is a PNG file that has too few rows");
      const row = raw.subarray(place + 1, place + 1 + size);
      unfilterRow(raw[place], row, above, back);
      above = row;
      for (let x = 0; x < columns; x++) {
        const to = ((top + y * stepY) * width + left + x * stepX) * channels;
        for (let c = 0; c < channels; c++) samples[to + c] = sampleAt(row, x * channels + c, depth);
      }
    }
  }
  return samples;
}

function unfilterRow(filter, row, above, back) {
  if (filter > 4) throw new Error("is a damaged PNG file");
  for (let i = 0; filter && i < row.length; i++) {
    const a = i >= back ? row[i - back] : 0;
    const b = above[i];
    if (filter === 1) row[i] += a;
    else if (filter === 2) row[i] += b;
    else if (filter === 3) row[i] += (a + b) >> 1;
    else {
      const c = i >= back ? above[i - back] : 0;
      const [toA, toB, toC] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
      row[i] += toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
    }
  }
}

function sampleAt(row, n, depth) {
  if (depth === 8) return row[n];
  if (depth === 16) return row[2 * n] * 256 + row[2 * n + 1];
  return (row[(n * depth) >> 3] >> (8 - depth - ((n * depth) & 7))) & ((1 << depth) - 1);
}

/** Grey levels of everything but 16-bit grey: the high byte counts, colour becomes luma and lies over black. */
function grey(samples, { width, height, depth, colour }, palette, transparency) {
  const pixels = new Uint8Array(width * height);
  const channels = CHANNELS[colour];
  const shift = depth === 16 ? 8 : 0;
  const white = (1 << depth) - 1;
  if (colour === RGB && depth === 16 && transparency) throw new Error("has 16-bit colours, of which one is transparent");
  for (let i = 0, s = 0; i < pixels.length; i++, s += channels) {
    let level;
    let alpha = 255;
    if (colour === GREY || colour === GREY_ALPHA) {
      level = depth < 8 ? Math.floor((samples[s] * 255) / white) : samples[s] >> shift;
      if (colour === GREY_ALPHA) alpha = samples[s + 1] >> shift;
      else if (transparency && samples[s] === transparency.readUInt16BE(0)) alpha = 0;
    } else if (colour === PALETTE) {
      const entry = samples[s];
      if (3 * entry + 2 >= palette.length) throw new Error("is a damaged PNG file: it has a colour out of its palette");
      level = luma(palette[3 * entry], palette[3 * entry + 1], palette[3 * entry + 2]);
      alpha = transparency?.[entry] ?? 255;
    } else {
      level = luma(samples[s] >> shift, samples[s + 1] >> shift, samples[s + 2] >> shift);
      if (colour === RGBA) alpha = samples[s + 3] >> shift;
      else if (transparency && [0, 1, 2].every((c) => samples[s + c] === transparency.readUInt16BE(2 * c))) alpha = 0;
    }
    pixels[i] = alpha === 255 ? level : over(level, alpha);
  }
  return pixels;
}

/** A level over black, as Pillow rounds it. */
function over(level, alpha) {
  return Math.floor((level * alpha) / 255);
}
