// The luma of a JPEG (ITU-T T.81) of 8 bits, baseline or progressive, to the bit as libjpeg-turbo decodes it: at its
// whole size, or at a half, a quarter or an eighth, which Pillow and cxrscribe decode large films at.

import { checkSize, exifOrientation } from "./levels.mjs";

const ZIGZAG = [
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55,
  62, 63,
];
const [SOF0, SOF1, SOF2, DHT, EOI, SOS, DQT, DRI, APP1, APP14] = [
  0xc0, 0xc1, 0xc2, 0xc4, 0xd9, 0xda, 0xdb, 0xdd, 0xe1, 0xee,
];
const MOST_SCANS = 100; // each may cost the time of the whole picture, and only a few bytes of the file

/**
 * {pixels: Uint8Array, width, height}, black 0. `smallest` {width, height}: it is decoded at the smallest size that
 * isn't below this; at its whole size without.
 */
export function decodeJpeg(file, smallest) {
  const picture = { tables: { 0: [], 1: [] }, quantization: [], restart: 0, isRgb: false };
  for (let place = 2, scans = 0; ; ) {
    while (file[place] === 0xff && file[place + 1] === 0xff) place++;
    const marker = file[place + 1];
    if (marker === EOI && picture.luma) break;
    if (file[place] !== 0xff || place + 4 > file.length) throw new Error("is a JPEG file that is damaged or cut off");
    const end = place + 2 + file.readUInt16BE(place + 2);
    const segment = file.subarray(place + 4, end);
    place = end;
    if (marker === DQT) readQuantization(segment, picture);
    else if (marker === DHT) readHuffman(segment, picture);
    else if (marker === DRI) picture.restart = segment.readUInt16BE(0);
    else if (marker === SOS) {
      if (++scans > MOST_SCANS) throw new Error(`is a JPEG of more than ${MOST_SCANS} scans; save it anew`);
      place = new Scan(file, end, segment, picture).decode();
    } else if (marker === APP14 && segment.toString("latin1", 0, 5) === "Adobe") picture.isRgb = segment[11] === 0;
    else if (marker === APP1 && segment.toString("latin1", 0, 4) === "Exif" && exifOrientation(segment.subarray(6)) > 1) {
      throw new Error("is turned by EXIF: save it upright");
    } else if (marker === SOF0 || marker === SOF1 || marker === SOF2) readFrame(segment, marker === SOF2, picture);
    else if (marker >= 0xc3 && marker <= 0xcf && marker !== 0xc8 && marker !== 0xcc) {
      throw new Error("is a JPEG that is lossless, hierarchical or arithmetic; save it as an ordinary one");
    }
  }
  return render(picture, smallest);
}

function readQuantization(segment, picture) {
  for (let place = 0; place < segment.length; ) {
    const [precision, table] = [segment[place] >> 4, segment[place++] & 15];
    const steps = new Int32Array(64);
    for (let k = 0; k < 64; k++, place += 1 + precision) {
      steps[ZIGZAG[k]] = precision ? segment.readUInt16BE(place) : segment[place];
    }
    picture.quantization[table] = steps;
  }
}

function readHuffman(segment, picture) {
  for (let place = 0; place < segment.length; ) {
    const [kind, table] = [segment[place] >> 4, segment[place] & 15];
    const lookup = new Uint16Array(65536); // the next 16 bits -> bits of the code * 256 + its symbol; 0: there is none
    let [code, symbol] = [0, place + 17];
    for (let bits = 1; bits <= 16; bits++) {
      for (let n = segment[place + bits]; n > 0; n--) {
        lookup.fill(bits * 256 + segment[symbol++], code, (code += 1 << (16 - bits)));
      }
    }
    (picture.tables[kind] ?? [])[table] = lookup;
    place = symbol;
  }
}

function readFrame(segment, isProgressive, picture) {
  if (picture.components) throw new Error("is a damaged JPEG file");
  const [bits, height, width, count] = [segment[0], segment.readUInt16BE(1), segment.readUInt16BE(3), segment[5]];
  if (bits !== 8) throw new Error(`is a JPEG of ${bits} bits, and 8 are read here`);
  checkSize(height, width);
  const components = Array.from({ length: count }, (_, n) => {
    const [id, sampling, table] = segment.subarray(6 + 3 * n, 9 + 3 * n);
    return { id, across: sampling >> 4, down: sampling & 15, table };
  });
  const isSampling = (times) => times >= 1 && times <= 4;
  if (!(count >= 1 && count <= 4 && components.every((c) => isSampling(c.across) && isSampling(c.down)))) {
    throw new Error("is a damaged JPEG file");
  }
  const [across, down] = [Math.max(...components.map((c) => c.across)), Math.max(...components.map((c) => c.down))];
  const isLuma = components[0].across === across && components[0].down === down && ![2, 4].includes(count);
  const named = String.fromCharCode(...components.map((component) => component.id));
  if (!isLuma || picture.isRgb || named === "RGB") throw new Error("is a JPEG of colours that aren't YCbCr");
  Object.assign(picture, { width, height, components, isProgressive });
  picture.mcus = { columns: Math.ceil(width / (8 * across)), rows: Math.ceil(height / (8 * down)) };
  for (const component of components) {
    component.columns = Math.ceil((width * component.across) / (8 * across));
    component.rows = Math.ceil((height * component.down) / (8 * down));
    component.stride = picture.mcus.columns * component.across; // blocks in a row, those beyond the edge among them
  }
  picture.luma = components[0];
  picture.luma.blocks = new Int16Array(64 * picture.luma.stride * picture.mcus.rows * picture.luma.down);
}

/** One pass over the picture: what is the luma's is added to its coefficients, all else is only skipped. */
class Scan {
  constructor(file, place, segment, picture) {
    Object.assign(this, { file, place, picture, held: 0, count: 0, run: 0 });
    const selected = Array.from({ length: segment[0] }, (_, n) => segment.subarray(1 + 2 * n, 3 + 2 * n));
    this.components = selected.map(([id, tables]) => {
      const component = picture.components?.find((one) => one.id === id);
      if (!component) throw new Error("is a damaged JPEG file");
      return Object.assign(component, { dc: picture.tables[0][tables >> 4], ac: picture.tables[1][tables & 15], last: 0 });
    });
    const [first, last, approximation] = segment.subarray(1 + 2 * segment[0]);
    Object.assign(this, { first, last, high: approximation >> 4, low: approximation & 15 });
  }

  /** The place behind it. */
  decode() {
    const { components, picture } = this;
    if (components.includes(picture.luma)) {
      const [only] = components;
      const alone = components.length === 1;
      const [columns, rows] = alone ? [only.columns, only.rows] : [picture.mcus.columns, picture.mcus.rows];
      for (let mcu = 0; mcu < columns * rows; mcu++) {
        if (picture.restart && mcu && mcu % picture.restart === 0) this.restart();
        const [x, y] = [mcu % columns, Math.floor(mcu / columns)];
        if (alone) this.block(only, x, y);
        else {
          for (const component of components) {
            for (let n = 0; n < component.across * component.down; n++) {
              const [right, lower] = [n % component.across, Math.floor(n / component.across)];
              this.block(component, x * component.across + right, y * component.down + lower);
            }
          }
        }
      }
    }
    const { file } = this;
    let { place } = this;
    // What is left of it: up to a marker that is neither a stuffed byte, nor one that fills, nor a restart.
    const goesOn = (byte) => byte === 0 || byte === 0xff || (byte & 0xf8) === 0xd0;
    while (place < file.length && (file[place] !== 0xff || goesOn(file[place + 1]))) place++;
    return place;
  }

  restart() {
    this.held = this.count = this.run = 0;
    const { file } = this;
    // Up to the marker, of which any number of bytes 0xff may stand in front.
    while (this.place < file.length && (file[this.place] !== 0xff || [0, 0xff].includes(file[this.place + 1]))) this.place++;
    this.place += 2;
    for (const component of this.components) component.last = 0;
  }

  peek(bits) {
    while (this.count < bits) {
      let byte = this.file[this.place] ?? 0;
      if (byte === 0xff && this.file[this.place + 1] !== 0) byte = 0; // a marker: there is no more
      else this.place += byte === 0xff ? 2 : 1;
      this.held = ((this.held << 8) | byte) & 0xffffff;
      this.count += 8;
    }
    return (this.held >>> (this.count - bits)) & ((1 << bits) - 1);
  }

  bits(count) {
    if (!count) return 0;
    const value = this.peek(count);
    this.count -= count;
    return value;
  }

  symbol(table) {
    const found = table?.[this.peek(16)];
    if (!found) throw new Error("is a damaged JPEG file");
    this.count -= found >> 8;
    return found & 255;
  }

  /** A number of so many bits, of which the first one is 0 where it is below 0. */
  signed(bits) {
    const value = this.bits(bits);
    return bits && value < 1 << (bits - 1) ? value - (1 << bits) + 1 : value;
  }

  block(component, x, y) {
    const isLuma = component === this.picture.luma;
    const to = isLuma ? 64 * (y * component.stride + x) : 0;
    const blocks = isLuma ? component.blocks : (this.spare ??= new Int16Array(64));
    if (!this.picture.isProgressive) this.sequential(component, blocks, to);
    else if (this.first === 0) this.dc(component, blocks, to);
    else if (this.high === 0) this.acFirst(component, blocks, to);
    else this.acRefined(component, blocks, to);
  }

  sequential(component, blocks, to) {
    blocks[to] = component.last += this.signed(this.symbol(component.dc));
    for (let k = 1; k < 64; k++) {
      const symbol = this.symbol(component.ac);
      const [zeros, bits] = [symbol >> 4, symbol & 15];
      if (!bits && zeros < 15) break;
      k += zeros;
      if (bits && k < 64) blocks[to + ZIGZAG[k]] = this.signed(bits);
    }
  }

  dc(component, blocks, to) {
    if (this.high) blocks[to] |= this.bits(1) << this.low;
    else blocks[to] = (component.last += this.signed(this.symbol(component.dc))) * (1 << this.low);
  }

  acFirst(component, blocks, to) {
    if (this.run) {
      this.run--;
      return;
    }
    for (let k = this.first; k <= this.last; k++) {
      const symbol = this.symbol(component.ac);
      const [zeros, bits] = [symbol >> 4, symbol & 15];
      if (!bits && zeros < 15) {
        this.run = (1 << zeros) - 1 + this.bits(zeros); // blocks that end here, too
        break;
      }
      k += zeros;
      if (bits && k < 64) blocks[to + ZIGZAG[k]] = this.signed(bits) * (1 << this.low);
    }
  }

  acRefined(component, blocks, to) {
    let k = this.first;
    for (; k <= this.last && !this.run; k++) {
      const symbol = this.symbol(component.ac);
      let zeros = symbol >> 4;
      if (!(symbol & 15) && zeros < 15) {
        this.run = (1 << zeros) + this.bits(zeros);
        break;
      }
      const found = symbol & 15 ? (this.bits(1) ? 1 : -1) * (1 << this.low) : 0;
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

  refine(blocks, place) {
    if (this.bits(1) && !(Math.abs(blocks[place]) & (1 << this.low))) {
      blocks[place] += (blocks[place] > 0 ? 1 : -1) * (1 << this.low);
    }
  }
}

/** The pixels of the luma's coefficients. */
function render({ luma, width, height, quantization }, smallest) {
  const most = smallest
    ? Math.min(Math.floor(width / Math.min(smallest.width, width)), Math.floor(height / Math.min(smallest.height, height)))
    : 1;
  const side = 8 / [8, 4, 2, 1].find((times) => most >= times); // pixels that a block of 8 becomes
  const transform = { 8: whole, 4: half, 2: quarter, 1: eighth }[side];
  const steps = quantization[luma.table];
  if (!steps) throw new Error("is a damaged JPEG file");
  const [columns, rows] = [Math.ceil((width * side) / 8), Math.ceil((height * side) / 8)];
  const pixels = new Uint8Array(columns * rows);
  const block = new Int32Array(64);
  const shown = new Uint8ClampedArray(64);
  for (let y = 0; y < luma.rows; y++) {
    for (let x = 0; x < luma.columns; x++) {
      const from = 64 * (y * luma.stride + x);
      for (let i = 0; i < 64; i++) block[i] = luma.blocks[from + i] * steps[i];
      transform(block, shown);
      const right = Math.min(side, columns - x * side);
      for (let r = 0; r < side && y * side + r < rows; r++) {
        pixels.set(shown.subarray(r * side, r * side + right), (y * side + r) * columns + x * side);
      }
    }
  }
  return { pixels, width: columns, height: rows };
}

// The inverse transforms are libjpeg's: whole numbers of 13 bits behind the point, two more between columns and rows.
const fixed = (value) => Math.round(value * 8192);
const [F0298, F0390, F0541, F0765] = [0.298631336, 0.39018064, 0.5411961, 0.765366865].map(fixed);
const [F0899, F1175, F1501, F1847] = [0.899976223, 1.175875602, 1.50132111, 1.847759065].map(fixed);
const [F1961, F2053, F2562, F3072] = [1.96157056, 2.053119869, 2.562915447, 3.072711026].map(fixed);
const [F0211, F0509, F0601, F0720] = [0.211164243, 0.509795579, 0.601344887, 0.720959822].map(fixed);
const [F0850, F1061, F1272, F1451] = [0.850430095, 1.061594337, 1.27275858, 1.451774981].map(fixed);
const [F2172, F3624] = [2.172734803, 3.624509785].map(fixed);
const work = new Int32Array(64);
const rounded = (value, bits) => (value + (1 << (bits - 1))) >> bits;

function whole(block, shown) {
  for (let x = 0; x < 8; x++) pass8(block, x, 8, work, x, 8, 11, 0);
  for (let y = 0; y < 8; y++) pass8(work, 8 * y, 1, shown, 8 * y, 1, 18, 128);
}

function pass8(from, at, step, to, place, gap, bits, level) {
  const [a, b] = [from[at + 2 * step], from[at + 6 * step]];
  const z = (a + b) * F0541;
  const [even2, even3] = [z - b * F1847, z + a * F0765];
  const [sum, difference] = [(from[at] + from[at + 4 * step]) * 8192, (from[at] - from[at + 4 * step]) * 8192];
  const even = [sum + even3, difference + even2, difference - even2, sum - even3];
  const [t0, t1, t2, t3] = [from[at + 7 * step], from[at + 5 * step], from[at + 3 * step], from[at + step]];
  const z5 = (t0 + t2 + t1 + t3) * F1175;
  const [z1, z2] = [-(t0 + t3) * F0899, -(t1 + t2) * F2562];
  const [z3, z4] = [z5 - (t0 + t2) * F1961, z5 - (t1 + t3) * F0390];
  const odd = [t3 * F1501 + z1 + z4, t2 * F3072 + z2 + z3, t1 * F2053 + z2 + z4, t0 * F0298 + z1 + z3];
  for (let n = 0; n < 4; n++) {
    to[place + n * gap] = rounded(even[n] + odd[n], bits) + level;
    to[place + (7 - n) * gap] = rounded(even[n] - odd[n], bits) + level;
  }
}

function half(block, shown) {
  for (let x = 0; x < 8; x++) if (x !== 4) pass4(block, x, 8, work, x, 8, 12, 0);
  for (let y = 0; y < 4; y++) pass4(work, 8 * y, 1, shown, 4 * y, 1, 19, 128);
}

function pass4(from, at, step, to, place, gap, bits, level) {
  const even = from[at + 2 * step] * F1847 - from[at + 6 * step] * F0765;
  const [z1, z2, z3, z4] = [from[at + 7 * step], from[at + 5 * step], from[at + 3 * step], from[at + step]];
  const inner = -z1 * F0211 + z2 * F1451 - z3 * F2172 + z4 * F1061;
  const outer = -z1 * F0509 - z2 * F0601 + z3 * F0899 + z4 * F2562;
  const first = from[at] * 16384;
  to[place] = rounded(first + even + outer, bits) + level;
  to[place + 3 * gap] = rounded(first + even - outer, bits) + level;
  to[place + gap] = rounded(first - even + inner, bits) + level;
  to[place + 2 * gap] = rounded(first - even - inner, bits) + level;
}

function quarter(block, shown) {
  for (const x of [0, 1, 3, 5, 7]) pass2(block, x, 8, work, x, 8, 13, 0);
  for (let y = 0; y < 2; y++) pass2(work, 8 * y, 1, shown, 2 * y, 1, 20, 128);
}

function pass2(from, at, step, to, place, gap, bits, level) {
  const odd =
    -from[at + 7 * step] * F0720 + from[at + 5 * step] * F0850 - from[at + 3 * step] * F1272 + from[at + step] * F3624;
  const even = from[at] * 32768;
  to[place] = rounded(even + odd, bits) + level;
  to[place + gap] = rounded(even - odd, bits) + level;
}

function eighth(block, shown) {
  shown[0] = rounded(block[0], 3) + 128;
}
