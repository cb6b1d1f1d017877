// Huffman codes of JPEG (ITU-T T.81, annex C and F.2.2), and the bits of a scan.

import { FilmError } from "./levels.mjs";

/**
 * Adds the tables of a segment DHT: kind 0 (DC, lossless) or 1 (AC), each by its number.
 *
 * @param {Uint8Array} segment
 * @param {Record<number, Uint16Array[]>} tables
 */
export function readHuffman(segment, tables) {
  for (let place = 0; place < segment.length; ) {
    const [kind, table] = [segment[place] >> 4, segment[place] & 15];
    const lookup = new Uint16Array(65536); // the next 16 bits -> bits of the code * 256 + its symbol; 0: there is none
    let [code, symbol] = [0, place + 17];
    for (let bits = 1; bits <= 16; bits++) {
      for (let n = segment[place + bits]; n > 0; n--) {
        lookup.fill(bits * 256 + segment[symbol++], code, (code += 1 << (16 - bits)));
      }
    }
    (tables[kind] ?? [])[table] = lookup;
    place = symbol;
  }
}

/** The bits of a scan, from a place in a file on. Behind a marker there are zeros. */
export class ScanBits {
  /**
   * @param {Uint8Array} file
   * @param {number} place
   */
  constructor(file, place) {
    this.file = file;
    this.place = place;
    this.held = 0;
    this.count = 0;
    this.missing = 0; // bytes that were asked for and aren't there
  }

  /** Up to the next marker, of which any number of bytes 0xff may stand in front, and behind it. */
  restart() {
    this.held = this.count = 0;
    const { file } = this;
    while (
      this.place < file.length &&
      (file[this.place] !== 0xff || file[this.place + 1] === 0 || file[this.place + 1] === 0xff)
    ) {
      this.place++;
    }
    this.place += 2;
  }

  /** The place of the marker that ends it: none that stuffs, fills or restarts. */
  end() {
    const { file } = this;
    let { place } = this;
    for (; place < file.length; place++) {
      const next = file[place + 1];
      if (file[place] === 0xff && next !== 0 && next !== 0xff && (next & 0xf8) !== 0xd0) break;
    }
    return place;
  }

  /** @param {number} bits up to 16 */
  peek(bits) {
    while (this.count < bits) {
      let byte = this.file[this.place];
      if (byte === undefined || (byte === 0xff && this.file[this.place + 1] !== 0)) {
        byte = 0;
        this.missing++;
      } else this.place += byte === 0xff ? 2 : 1;
      this.held = ((this.held << 8) | byte) & 0xffffff;
      this.count += 8;
    }
    return (this.held >>> (this.count - bits)) & ((1 << bits) - 1);
  }

  /** @param {number} count */
  bits(count) {
    if (!count) return 0;
    const value = this.peek(count);
    this.count -= count;
    return value;
  }

  /** @param {Uint16Array | undefined} table */
  symbol(table) {
    const found = table ? table[this.peek(16)] : 0;
    if (!found) throw new FilmError("is a damaged JPEG file");
    this.count -= found >> 8;
    return found & 255;
  }

  /**
   * A number of so many bits, of which the first one is 0 where it is below 0.
   *
   * @param {number} bits
   */
  signed(bits) {
    const value = this.bits(bits);
    return bits && value < 1 << (bits - 1) ? value - (1 << bits) + 1 : value;
  }
}
