// A scan of a JPEG of coefficients (ITU-T T.81, annex F and G): baseline, extended or progressive.

import { ScanBits } from "./jpeg-huffman.mjs";
import { FilmError } from "./levels.mjs";

/**
 * @typedef {object} Component
 * @property {number} id
 * @property {number} across samples, beside those of the others, and
 * @property {number} down
 * @property {number} table of its quantization
 * @property {number} columns of blocks
 * @property {number} rows
 * @property {number} stride blocks in a row, those beyond the edge among them
 * @property {Uint16Array} [dc]
 * @property {Uint16Array} [ac]
 * @property {number} last
 */

/**
 * @typedef {object} Frame what is known of a JPEG
 * @property {number} width
 * @property {number} height
 * @property {number} bits of a sample
 * @property {boolean} isProgressive
 * @property {Component[]} components
 * @property {{ columns: number, rows: number }} mcus
 * @property {Component} luma
 * @property {Int16Array} blocks the luma's coefficients, 64 each
 */

export const ZIGZAG = [
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47,
  55, 62, 63,
];

/** One pass over the picture: what is the luma's is added to its coefficients, all else is only skipped. */
export class Scan {
  /**
   * @param {Uint8Array} file
   * @param {number} place
   * @param {Uint8Array} segment of its start
   * @param {Frame | undefined} frame
   * @param {Record<number, Uint16Array[]>} tables
   */
  constructor(file, place, segment, frame, tables) {
    if (!frame) throw new FilmError("is a damaged JPEG file");
    this.frame = frame;
    this.from = new ScanBits(file, place);
    this.run = 0;
    this.spare = new Int16Array(64);
    this.components = Array.from({ length: segment[0] }, (_, n) => {
      const [id, numbers] = segment.subarray(1 + 2 * n, 3 + 2 * n);
      const component = frame.components.find((one) => one.id === id);
      if (!component) throw new FilmError("is a damaged JPEG file");
      component.dc = tables[0][numbers >> 4];
      component.ac = tables[1][numbers & 15];
      component.last = 0;
      return component;
    });
    const [first, last, approximation] = segment.subarray(1 + 2 * segment[0]);
    this.first = first;
    this.last = last;
    this.high = approximation >> 4;
    this.low = approximation & 15;
  }

  /**
   * The place behind it.
   *
   * @param {number} restartInterval units between two restarts; 0: there are none
   */
  decode(restartInterval) {
    const { components, frame } = this;
    if (components.includes(frame.luma)) {
      const [only] = components;
      const alone = components.length === 1;
      const [columns, rows] = alone ? [only.columns, only.rows] : [frame.mcus.columns, frame.mcus.rows];
      for (let mcu = 0; mcu < columns * rows; mcu++) {
        if (restartInterval && mcu && mcu % restartInterval === 0) this.restart();
        const x = mcu % columns;
        const y = Math.floor(mcu / columns);
        if (alone) this.block(only, x, y);
        else for (const component of components) this.blocks(component, x, y);
      }
    }
    return this.from.end();
  }

  restart() {
    this.run = 0;
    this.from.restart();
    for (const component of this.components) component.last = 0;
  }

  /**
   * @param {Component} component
   * @param {number} x of the unit
   * @param {number} y
   */
  blocks(component, x, y) {
    for (let lower = 0; lower < component.down; lower++) {
      for (let right = 0; right < component.across; right++) {
        this.block(component, x * component.across + right, y * component.down + lower);
      }
    }
  }

  /**
   * @param {Component} component
   * @param {number} x
   * @param {number} y
   */
  block(component, x, y) {
    const isLuma = component === this.frame.luma;
    const to = isLuma ? 64 * (y * component.stride + x) : 0;
    const blocks = isLuma ? this.frame.blocks : this.spare;
    if (!this.frame.isProgressive) this.sequential(component, blocks, to);
    else if (this.first === 0) this.dc(component, blocks, to);
    else if (this.high === 0) this.acFirst(component, blocks, to);
    else this.acRefined(component, blocks, to);
  }

  /**
   * @param {Component} component
   * @param {Int16Array} blocks
   * @param {number} to
   */
  sequential(component, blocks, to) {
    const { from } = this;
    blocks[to] = component.last += from.signed(from.symbol(component.dc));
    for (let k = 1; k < 64; k++) {
      const symbol = from.symbol(component.ac);
      const zeros = symbol >> 4;
      const bits = symbol & 15;
      if (!bits && zeros < 15) break;
      k += zeros;
      if (bits && k < 64) blocks[to + ZIGZAG[k]] = from.signed(bits);
    }
  }

  /**
   * @param {Component} component
   * @param {Int16Array} blocks
   * @param {number} to
   */
  dc(component, blocks, to) {
    const { from } = this;
    if (this.high) blocks[to] |= from.bits(1) << this.low;
    else blocks[to] = (component.last += from.signed(from.symbol(component.dc))) * (1 << this.low);
  }

  /**
   * @param {Component} component
   * @param {Int16Array} blocks
   * @param {number} to
   */
  acFirst(component, blocks, to) {
    if (this.run) {
      this.run--;
      return;
    }
    const { from } = this;
    for (let k = this.first; k <= this.last; k++) {
      const symbol = from.symbol(component.ac);
      const zeros = symbol >> 4;
      const bits = symbol & 15;
      if (!bits && zeros < 15) {
        this.run = (1 << zeros) - 1 + from.bits(zeros); // blocks that end here, too
        break;
      }
      k += zeros;
      if (bits && k < 64) blocks[to + ZIGZAG[k]] = from.signed(bits) * (1 << this.low);
    }
  }

  /**
   * @param {Component} component
   * @param {Int16Array} blocks
   * @param {number} to
   */
  acRefined(component, blocks, to) {
    const { from } = this;
    let k = this.first;
    for (; k <= this.last && !this.run; k++) {
      const symbol = from.symbol(component.ac);
      let zeros = symbol >> 4;
      if (!(symbol & 15) && zeros < 15) {
        this.run = (1 << zeros) + from.bits(zeros);
        break;
      }
      const found = symbol & 15 ? (from.bits(1) ? 1 : -1) * (1 << this.low) : 0;
      for (; k <= this.last; k++) {
        const place = to + ZIGZAG[k];
        if (blocks[place]) this.refine(blocks, place);
        else if (zeros-- === 0) {
          blocks[place] = found;
          break;
        }
      }
    }
    if (this.run) {
      for (; k <= this.last; k++) if (blocks[to + ZIGZAG[k]]) this.refine(blocks, to + ZIGZAG[k]);
      this.run--;
    }
  }

  /**
   * @param {Int16Array} blocks
   * @param {number} place
   */
  refine(blocks, place) {
    if (this.from.bits(1) && !(Math.abs(blocks[place]) & (1 << this.low))) {
      blocks[place] += (blocks[place] > 0 ? 1 : -1) * (1 << this.low);
    }
  }
}
