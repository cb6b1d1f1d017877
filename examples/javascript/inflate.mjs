// Inflates deflated bytes (RFC 1950 and 1951), up to a limit. `DecompressionStream` has none, and refuses what stands
// behind the end, as the byte does that fills up a deflated DICOM file.

import { FilmError } from "./levels.mjs";

const DAMAGED = "has compressed bytes that are damaged or cut off";
const LENGTHS = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCES = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
  8193, 12289, 16385, 24577,
];
const DISTANCE_BITS = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const QUICK = 10; // bits of a code that one look tells; longer ones are rare
const FIXED = Uint8Array.from({ length: 288 }, (_, n) => (n < 144 ? 8 : n < 256 ? 9 : n < 280 ? 7 : 8));

/**
 * The bytes that were deflated, and nothing of what stands behind them. `isRaw`: without zlib's head and checksum.
 * Throws a FilmError where they are damaged, or more than `most`.
 *
 * @param {Uint8Array} packed
 * @param {number} most
 */
export function inflate(packed, most, isRaw = false) {
  const isZlib =
    (packed[0] & 15) === 8 && packed[0] >> 4 < 8 && !(packed[1] & 32) && (packed[0] * 256 + packed[1]) % 31 === 0;
  if (!isRaw && !isZlib) throw new FilmError(DAMAGED);
  const stream = new Inflation(packed, isRaw ? 0 : 2, most);
  while (!stream.block());
  const bytes = stream.out.subarray(0, stream.size);
  if (!isRaw && stream.checksum() !== adler32(bytes)) throw new FilmError(DAMAGED);
  return bytes;
}

/** The codes of some symbols: those of few bits in a table, the others by their order. */
class Codes {
  /** @param {Uint8Array} lengths bits of each symbol's code; 0: it has none */
  constructor(lengths) {
    this.quick = new Uint16Array(1 << QUICK); // the next bits -> the symbol * 16 + bits of its code; 0: more
    this.counts = new Uint16Array(16);
    for (const bits of lengths) this.counts[bits]++;
    this.counts[0] = 0;
    const places = new Uint16Array(16);
    const next = new Uint16Array(16);
    let left = 1;
    for (let bits = 1; bits < 16; bits++) {
      left = left * 2 - this.counts[bits];
      if (left < 0) throw new FilmError(DAMAGED);
      places[bits] = places[bits - 1] + this.counts[bits - 1];
      next[bits] = (next[bits - 1] + this.counts[bits - 1]) << 1;
    }
    this.symbols = new Uint16Array(lengths.length);
    lengths.forEach((bits, symbol) => {
      if (!bits) return;
      this.symbols[places[bits]++] = symbol;
      const code = next[bits]++;
      if (bits > QUICK) return;
      let turned = 0; // codes come with their highest bit first, all else with its lowest
      for (let bit = 0; bit < bits; bit++) turned |= ((code >> bit) & 1) << (bits - 1 - bit);
      for (let place = turned; place < 1 << QUICK; place += 1 << bits) this.quick[place] = symbol * 16 + bits;
    });
  }
}

class Inflation {
  /**
   * @param {Uint8Array} packed
   * @param {number} place
   * @param {number} most
   */
  constructor(packed, place, most) {
    this.packed = packed;
    this.place = place;
    this.most = most;
    this.held = 0; // the next bits, the first one lowest
    this.count = 0; // of these
    this.out = new Uint8Array(Math.min(most, 4 * packed.length + 1024));
    this.size = 0;
  }

  /** At least 25 bits; zeros behind the end, which must not be used up. */
  refill() {
    while (this.count <= 24) {
      this.held |= this.packed[this.place++] << this.count;
      this.count += 8;
    }
    if (this.place - (this.count >> 3) > this.packed.length) throw new FilmError(DAMAGED);
  }

  /** @param {number} count */
  take(count) {
    const bits = this.held & ((1 << count) - 1);
    this.held >>>= count;
    this.count -= count;
    return bits;
  }

  /** @param {number} count up to 16 */
  bits(count) {
    this.refill();
    return this.take(count);
  }

  /** @param {Codes} codes */
  symbol(codes) {
    const found = codes.quick[this.held & ((1 << QUICK) - 1)];
    if (found) {
      this.held >>>= found & 15;
      this.count -= found & 15;
      return found >> 4;
    }
    let [code, first, place] = [0, 0, 0];
    for (let bits = 1; bits < 16; bits++) {
      code |= this.take(1);
      const here = codes.counts[bits];
      if (code - first < here) return codes.symbols[place + code - first];
      place += here;
      first = (first + here) << 1;
      code <<= 1;
    }
    throw new FilmError(DAMAGED);
  }

  /** @param {number} more */
  room(more) {
    if (this.size + more <= this.out.length) return;
    if (this.size + more > this.most) throw new FilmError("is damaged, or has far more in it than is read");
    const larger = new Uint8Array(Math.min(this.most, Math.max(2 * this.out.length, this.size + more)));
    larger.set(this.out.subarray(0, this.size));
    this.out = larger;
  }

  /** Inflates a block: whether it was the last one. */
  block() {
    const isLast = this.bits(1) === 1;
    const kind = this.bits(2);
    if (kind === 0) this.stored();
    else if (kind === 1) this.compressed(new Codes(FIXED), new Codes(new Uint8Array(30).fill(5)));
    else if (kind === 2) this.dynamic();
    else throw new FilmError(DAMAGED);
    return isLast;
  }

  /** To the next whole byte that wasn't used. */
  align() {
    this.place -= this.count >> 3;
    this.held = this.count = 0;
  }

  stored() {
    this.align();
    const [a, b, c, d] = this.packed.subarray(this.place, this.place + 4);
    const length = a + 256 * b;
    const begin = this.place + 4;
    if (length !== 65535 - (c + 256 * d) || begin + length > this.packed.length) throw new FilmError(DAMAGED);
    this.room(length);
    this.out.set(this.packed.subarray(begin, begin + length), this.size);
    this.size += length;
    this.place = begin + length;
  }

  dynamic() {
    const [literals, distances, ordered] = [this.bits(5) + 257, this.bits(5) + 1, this.bits(4) + 4];
    const short = new Uint8Array(19);
    for (let n = 0; n < ordered; n++) short[ORDER[n]] = this.bits(3);
    const codes = new Codes(short);
    const lengths = new Uint8Array(literals + distances);
    for (let n = 0; n < lengths.length; ) {
      this.refill();
      const symbol = this.symbol(codes);
      if (symbol < 16) lengths[n++] = symbol;
      else {
        if (symbol === 16 && n === 0) throw new FilmError(DAMAGED);
        const length = symbol === 16 ? lengths[n - 1] : 0;
        const times = symbol === 16 ? 3 + this.take(2) : symbol === 17 ? 3 + this.take(3) : 11 + this.take(7);
        if (n + times > lengths.length) throw new FilmError(DAMAGED);
        lengths.fill(length, n, (n += times));
      }
    }
    this.compressed(new Codes(lengths.subarray(0, literals)), new Codes(lengths.subarray(literals)));
  }

  /**
   * @param {Codes} literals
   * @param {Codes} distances
   */
  compressed(literals, distances) {
    for (;;) {
      this.refill();
      let symbol = this.symbol(literals);
      if (symbol < 256) {
        if (this.size === this.out.length) this.room(1);
        this.out[this.size++] = symbol;
        continue;
      }
      if (symbol === 256) return;
      symbol -= 257;
      if (symbol > 28) throw new FilmError(DAMAGED);
      const length = LENGTHS[symbol] + this.take(LENGTH_BITS[symbol]);
      this.refill();
      const far = this.symbol(distances);
      if (far > 29) throw new FilmError(DAMAGED);
      const distance = DISTANCES[far] + this.bits(DISTANCE_BITS[far]);
      if (distance > this.size) throw new FilmError(DAMAGED);
      this.room(length);
      const { out } = this;
      let to = this.size;
      for (const end = to + length; to < end; to++) out[to] = out[to - distance];
      this.size = to;
    }
  }

  /** Behind the last block, the highest byte first; none where the file ends before. */
  checksum() {
    this.align();
    const [a, b, c, d] = this.packed.subarray(this.place, this.place + 4);
    return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  }
}

/** @param {Uint8Array} bytes */
function adler32(bytes) {
  let [a, b] = [1, 0];
  for (let place = 0; place < bytes.length; ) {
    for (const end = Math.min(place + 3800, bytes.length); place < end; place++) b += a += bytes[place];
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}
