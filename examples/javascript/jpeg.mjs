// The luma of a JPEG (ITU-T T.81), to the bit as libjpeg-turbo decodes it: baseline and progressive of 8 bits, at the whole
// size, or at a half, a quarter or an eighth, which Pillow and cxrscribe decode large films at; and grey of 12 bits.

import { textOf, viewOf } from "./bytes.mjs";
import { readHuffman } from "./jpeg-huffman.mjs";
import { Scan, ZIGZAG } from "./jpeg-scan.mjs";
import { transformTo } from "./jpeg-transforms.mjs";
import { checkSize, exifOrientation, FilmError } from "./levels.mjs";

const [SOF0, SOF1, SOF2, DHT, EOI, SOS, DQT, DRI, APP1, APP14] = [
  0xc0, 0xc1, 0xc2, 0xc4, 0xd9, 0xda, 0xdb, 0xdd, 0xe1, 0xee,
];
const MOST_SCANS = 100; // each may cost the time of the whole picture, and only a few bytes of the file

/** @typedef {{ width: number, height: number }} Size */

/** @param {Uint8Array} file */
export function isJpeg(file) {
  return file[0] === 0xff && file[1] === 0xd8 && file[2] === 0xff;
}

/**
 * The pixels of a JPEG file of 8 bits. `smallest`: it is decoded at the smallest size that isn't below this; at its whole
 * size without.
 *
 * @param {Uint8Array} file
 * @param {Size} [smallest]
 * @returns {import("./levels.mjs").Picture}
 */
export function decodeJpeg(file, smallest) {
  const { pixels, ...size } = new Jpeg(file, 8).render(smallest);
  return { pixels: /** @type {Uint8Array} */ (pixels), ...size };
}

/** A JPEG whose coefficients are unpacked, to be rendered at one size or several. */
export class Jpeg {
  /**
   * @param {Uint8Array} file
   * @param {8 | 12} bits that its samples must have
   */
  constructor(file, bits) {
    this.bits = bits;
    this.isRgb = false;
    /** @type {Int32Array[]} */
    this.quantization = [];
    /** @type {import("./jpeg-scan.mjs").Frame | undefined} */
    this.frame = undefined;
    this.read(file);
  }

  /** @param {Uint8Array} file */
  read(file) {
    const view = viewOf(file);
    /** @type {Record<number, Uint16Array[]>} */
    const tables = { 0: [], 1: [] };
    let restart = 0;
    for (let place = 2, scans = 0; ; ) {
      while (file[place] === 0xff && file[place + 1] === 0xff) place++;
      const marker = file[place + 1];
      if (marker === EOI && this.frame) break;
      if (file[place] !== 0xff || place + 4 > file.length)
        throw new FilmError("is a JPEG file that is damaged or cut off");
      const end = place + 2 + view.getUint16(place + 2);
      const segment = file.subarray(place + 4, end);
      place = end;
      if (marker === DQT) this.readQuantization(segment);
      else if (marker === DHT) readHuffman(segment, tables);
      else if (marker === DRI) restart = viewOf(segment).getUint16(0);
      else if (marker === SOS) {
        if (++scans > MOST_SCANS) throw new FilmError(`is a JPEG of more than ${MOST_SCANS} scans; save it anew`);
        place = new Scan(file, end, segment, this.frame, tables).decode(restart);
      } else if (marker === APP14 && textOf(segment, 0, 5) === "Adobe") this.isRgb = segment[11] === 0;
      else if (marker === APP1 && textOf(segment, 0, 4) === "Exif" && exifOrientation(segment.subarray(6)) > 1) {
        throw new FilmError("is turned by EXIF: save it upright");
      } else if (marker === SOF0 || marker === SOF1 || marker === SOF2) this.readFrame(segment, marker === SOF2);
      else if (marker >= 0xc3 && marker <= 0xcf && marker !== 0xc8 && marker !== 0xcc) {
        throw new FilmError("is a JPEG that is lossless, hierarchical or arithmetic; save it as an ordinary one");
      }
    }
  }

  /** @param {Uint8Array} segment */
  readQuantization(segment) {
    const view = viewOf(segment);
    for (let place = 0; place < segment.length; ) {
      const [precision, table] = [segment[place] >> 4, segment[place++] & 15];
      const steps = new Int32Array(64);
      for (let k = 0; k < 64; k++, place += 1 + precision) {
        steps[ZIGZAG[k]] = precision ? view.getUint16(place) : segment[place];
      }
      this.quantization[table] = steps;
    }
  }

  /**
   * @param {Uint8Array} segment
   * @param {boolean} isProgressive
   */
  readFrame(segment, isProgressive) {
    if (this.frame) throw new FilmError("is a damaged JPEG file");
    const view = viewOf(segment);
    const [bits, height, width, count] = [segment[0], view.getUint16(1), view.getUint16(3), segment[5]];
    if (bits !== this.bits) throw new FilmError(`is a JPEG of ${bits} bits, and ${this.bits} are read here`);
    checkSize(height, width);
    const sampled = Array.from({ length: count }, (_, n) => {
      const [id, sampling, table] = segment.subarray(6 + 3 * n, 9 + 3 * n);
      return { id, across: sampling >> 4, down: sampling & 15, table };
    });
    /** @param {number} times */
    const isSampling = (times) => times >= 1 && times <= 4;
    if (!(count >= 1 && count <= 4 && sampled.every((c) => isSampling(c.across) && isSampling(c.down)))) {
      throw new FilmError("is a damaged JPEG file");
    }
    const [across, down] = [Math.max(...sampled.map((c) => c.across)), Math.max(...sampled.map((c) => c.down))];
    const isLuma = sampled[0].across === across && sampled[0].down === down && ![2, 4].includes(count);
    const named = String.fromCharCode(...sampled.map((component) => component.id));
    if (!isLuma || this.isRgb || named === "RGB") throw new FilmError("is a JPEG of colours that aren't YCbCr");
    const mcus = { columns: Math.ceil(width / (8 * across)), rows: Math.ceil(height / (8 * down)) };
    const components = sampled.map((component) => ({
      ...component,
      columns: Math.ceil((width * component.across) / (8 * across)),
      rows: Math.ceil((height * component.down) / (8 * down)),
      stride: mcus.columns * component.across,
      last: 0,
    }));
    const [luma] = components;
    const blocks = new Int16Array(64 * luma.stride * mcus.rows * luma.down);
    this.frame = { width, height, bits, isProgressive, components, mcus, luma, blocks };
  }

  /**
   * The luma's samples, at the whole size or at the smallest that isn't below `smallest`.
   *
   * @param {Size} [smallest]
   */
  render(smallest) {
    if (!this.frame) throw new FilmError("is a damaged JPEG file");
    const { luma, blocks, width, height, bits } = this.frame;
    const most = smallest
      ? Math.min(
          Math.floor(width / Math.min(smallest.width, width)),
          Math.floor(height / Math.min(smallest.height, height)),
        )
      : 1;
    const side = most >= 8 ? 1 : most >= 4 ? 2 : most >= 2 ? 4 : 8; // pixels that a block of 8 becomes
    const transform = transformTo(side, bits);
    const steps = this.quantization[luma.table];
    if (!steps) throw new FilmError("is a damaged JPEG file");
    const [columns, rows] = [Math.ceil((width * side) / 8), Math.ceil((height * side) / 8)];
    const pixels = bits === 8 ? new Uint8Array(columns * rows) : new Uint16Array(columns * rows);
    const block = new Int32Array(64);
    const shown = bits === 8 ? new Uint8ClampedArray(64) : new Int32Array(64);
    const white = 2 ** bits - 1;
    for (let y = 0; y < luma.rows; y++) {
      for (let x = 0; x < luma.columns; x++) {
        const from = 64 * (y * luma.stride + x);
        for (let i = 0; i < 64; i++) block[i] = blocks[from + i] * steps[i];
        transform(block, shown);
        const right = Math.min(side, columns - x * side);
        for (let r = 0; r < side && y * side + r < rows; r++) {
          const to = (y * side + r) * columns + x * side;
          for (let c = 0; c < right; c++) pixels[to + c] = Math.min(white, Math.max(0, shown[r * side + c]));
        }
      }
    }
    return { pixels, width: columns, height: rows };
  }
}
