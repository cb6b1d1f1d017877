// A film in DICOM as grey levels, by the rules of cxrscribe's docs/films.md: as a viewer would show it (PS3.4, N.2).
// Grey films of one frame, not compressed, deflated, of RLE, or of JPEG with 8 bits. Everything else is refused by name.

import { inflateRawSync } from "node:zlib";

import { decodeJpeg } from "./jpeg.mjs";
import { checkSize, stretched, toEven } from "./levels.mjs";

const TRANSFER = "1.2.840.10008.1.2";
const [IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN] = [TRANSFER, `${TRANSFER}.1`, `${TRANSFER}.1.99`, `${TRANSFER}.2`];
const [JPEG_8, JPEG_12, RLE] = [`${TRANSFER}.4.50`, `${TRANSFER}.4.51`, `${TRANSFER}.5`]; // .51 may have 8 bits, too
const [PIXELS, ITEM, ITEM_END, SEQUENCE_END] = ["7fe00010", "fffee000", "fffee00d", "fffee0dd"];
const UNDEFINED = 0xffffffff;
const LONG = ["OB", "OW", "OF", "OD", "OL", "OV", "SQ", "UC", "UN", "UR", "UT", "SV", "UV"]; // PS3.5, 7.1.2
const TAGS = {
  modality: "00080060", samples: "00280002", photometric: "00280004", frames: "00280008", rows: "00280010",
  columns: "00280011", aspect: "00280034", allocated: "00280100", stored: "00280101", high: "00280102",
  representation: "00280103", padding: "00280120", paddingLimit: "00280121", center: "00281050", width: "00281051",
  intercept: "00281052", slope: "00281053", windowFunction: "00281056", modalityLut: "00283000", voiLut: "00283010",
  lutDescriptor: "00283002", lutData: "00283006", shape: "20500020", spacing: "00280030", imagerSpacing: "00181164",
  scannedSpacing: "00182010",
};

export function isDicom(file) {
  return file.toString("latin1", 128, 132) === "DICM";
}

/** {pixels: Uint8Array, width, height}, black 0. `rules`: version of the display; `smallest`: as of `decodeJpeg`. */
export function decodeDicom(file, rules, smallest) {
  const data = readFile(file);
  const modality = data.text("modality").toUpperCase();
  if (modality && !["CR", "DX"].includes(modality)) throw new Error(`is DICOM of modality ${modality}, no radiograph`);
  const [height, width] = [data.whole("rows"), data.whole("columns")];
  if (!height || !width) throw new Error("is a DICOM file without a picture");
  checkSize(height, width);
  if (data.number("frames", 1) !== 1) throw new Error("has several frames; give one film a file");
  if (data.whole("samples", 1) !== 1 || !data.text("photometric").startsWith("MONOCHROME")) {
    throw new Error("has DICOM pixels of colours, and grey ones are read here");
  }
  const [allocated, stored] = [data.whole("allocated"), data.whole("stored")];
  if (![8, 16].includes(allocated) || stored < 1 || stored > allocated || data.whole("high", stored - 1) !== stored - 1) {
    throw new Error(`has DICOM pixels of ${stored} bits in ${allocated}, which aren't read`);
  }
  if (rules > 1 && !isSquare(data)) throw new Error("has pixels that aren't square, which aren't read here");
  return show(data, samples(data, height, width, allocated, mayReduce(data, rules) ? smallest : undefined), stored, rules);
}

/** The elements of a DICOM file up to its pixels. */
class Elements {
  constructor(isExplicit, isLittle, found = new Map()) {
    Object.assign(this, { isExplicit, isLittle, found });
  }

  text(name) {
    return (this.found.get(TAGS[name])?.value.toString("latin1") ?? "").replace(/[\0 ]+$/, "").trim();
  }

  /** The first of one or several decimal numbers. */
  number(name, otherwise) {
    const [first] = this.text(name).split("\\");
    return first === "" ? otherwise : Number(first);
  }

  /** A whole number of 16 bits, US or SS. */
  whole(name, otherwise, isSigned = false) {
    const value = this.found.get(TAGS[name])?.value;
    if (!value?.length) return otherwise;
    const view = new DataView(value.buffer, value.byteOffset, value.length);
    return isSigned ? view.getInt16(0, this.isLittle) : view.getUint16(0, this.isLittle);
  }

  /** Elements of a sequence's first item that has something to look up. */
  table(name) {
    const item = this.found.get(TAGS[name])?.items?.[0];
    return item?.found.get(TAGS.lutDescriptor)?.value.length && item.found.get(TAGS.lutData)?.value.length ? item : undefined;
  }
}

function readFile(file) {
  const meta = new Elements(true, true);
  let place = parse(file, 132, file.length, meta, (tag) => !tag.startsWith("0002"));
  const syntax = (meta.found.get("00020010")?.value.toString("latin1") ?? "").replace(/[\0 ]+$/, "");
  if (![IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN, JPEG_8, JPEG_12, RLE].includes(syntax)) {
    throw new Error(`has DICOM pixels of transfer syntax ${syntax || "unknown"}, which isn't read here`);
  }
  if (syntax === DEFLATED) {
    file = inflateRawSync(file.subarray(place), { maxOutputLength: 201_000_000 });
    place = 0;
  }
  const data = new Elements(syntax !== IMPLICIT, syntax !== BIG_ENDIAN);
  parse(file, place, file.length, data, (tag) => tag > PIXELS);
  if (!data.found.has(PIXELS)) throw new Error("is a DICOM file without a picture, or one that is cut off");
  return Object.assign(data, { syntax });
}

/** Adds the elements from `place` to `end`, or to the first one that `stops`. The place behind them. */
function parse(file, place, end, into, stops) {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const tagAt = (at) => [0, 2].map((n) => view.getUint16(at + n, into.isLittle).toString(16).padStart(4, "0")).join("");
  try {
    while (place + 8 <= end) {
      const tag = tagAt(place);
      if (stops(tag)) break;
      const isItem = tag.startsWith("fffe");
      const kind = into.isExplicit && !isItem ? file.toString("latin1", place + 4, place + 6) : "";
      const isLong = !kind || LONG.includes(kind);
      const length = isLong ? view.getUint32(place + (kind ? 8 : 4), into.isLittle) : view.getUint16(place + 6, into.isLittle);
      const begin = place + (kind && isLong ? 12 : 8);
      if (tag === ITEM_END || tag === SEQUENCE_END) return begin;
      if (length !== UNDEFINED && begin + length > end) throw new RangeError();
      if (kind === "SQ" || length === UNDEFINED || [TAGS.modalityLut, TAGS.voiLut].includes(tag)) {
        const items = [];
        place = parseItems(file, begin, length === UNDEFINED ? end : begin + length, into, tag === PIXELS, items);
        into.found.set(tag, { value: Buffer.alloc(0), items });
      } else {
        into.found.set(tag, { value: file.subarray(begin, begin + length) });
        place = begin + length;
      }
    }
  } catch (error) {
    if (error instanceof RangeError) throw new Error("is a DICOM file that is damaged or cut off");
    throw error;
  }
  return place;
}

/** Items up to a delimiter or to `end`: bytes of pixels, or elements. */
function parseItems(file, place, end, { isExplicit, isLittle }, arePixels, items) {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  while (place + 8 <= end) {
    const tag = [0, 2].map((n) => view.getUint16(place + n, isLittle).toString(16).padStart(4, "0")).join("");
    const length = view.getUint32(place + 4, isLittle);
    place += 8;
    if (tag === SEQUENCE_END) return place;
    if (tag !== ITEM || (arePixels && place + length > end)) throw new RangeError();
    if (arePixels) {
      items.push(file.subarray(place, place + length));
      place += length;
    } else {
      const item = new Elements(isExplicit, isLittle);
      place = parse(file, place, length === UNDEFINED ? end : place + length, item, () => false);
      items.push(item);
    }
  }
  if (arePixels) throw new RangeError();
  return place;
}

/** The stored values as they lie in their words: {values, width, height, hasSpare}: whether bits may be unused. */
function samples(data, height, width, allocated, smallest) {
  const { value, items } = data.found.get(PIXELS);
  const count = height * width;
  if (![JPEG_8, JPEG_12, RLE].includes(data.syntax)) {
    const bytes = allocated / 8;
    if (items || value.length < count * bytes) throw new Error("has DICOM pixels that are cut off");
    if (bytes === 1 && data.syntax === BIG_ENDIAN) throw new Error("has single bytes in big endian, which aren't read here");
    if (bytes === 1) return { values: value.subarray(0, count), width, height, hasSpare: true };
    const view = new DataView(value.buffer, value.byteOffset, value.length);
    const values = Uint16Array.from({ length: count }, (_, i) => view.getUint16(2 * i, data.isLittle));
    return { values, width, height, hasSpare: true };
  }
  if (!items || items.length < 2) throw new Error("has DICOM pixels that are cut off");
  const frame = Buffer.concat(items.slice(1)); // the first one is the offset table
  if (data.syntax === RLE) return { values: runLengths(frame, count, allocated / 8), width, height, hasSpare: true };
  const isSigned = data.whole("representation", 0) === 1; // neighbours of 127 and -128 have no average
  const picture = decodeJpeg(frame, isSigned ? undefined : smallest);
  if (!smallest && (picture.width !== width || picture.height !== height)) throw new Error("has pixels of another size");
  return { values: picture.pixels, width: picture.width, height: picture.height, hasSpare: false };
}

/** PS3.5, annex G: a segment has one byte of each sample, the first one the highest. */
function runLengths(frame, count, bytes) {
  const values = bytes === 1 ? new Uint8Array(count) : new Uint16Array(count);
  if (frame.length < 64 || frame.readUInt32LE(0) !== bytes) throw new Error("has DICOM pixels of another size");
  for (let segment = 0; segment < bytes; segment++) {
    const end = Math.min(segment + 1 < bytes ? frame.readUInt32LE(8 + 4 * segment) : frame.length, frame.length);
    const shift = 8 * (bytes - 1 - segment);
    let n = 0;
    for (let place = frame.readUInt32LE(4 + 4 * segment); place < end && n < count; ) {
      const head = frame.readInt8(place++);
      if (head === -128) continue;
      const repeats = head < 0;
      for (let k = repeats ? 1 - head : head + 1; k > 0 && n < count; k--) {
        if (place >= end) throw new Error("has DICOM pixels that are cut off");
        values[n++] |= frame[repeats ? place : place++] << shift;
      }
      if (repeats) place++;
    }
    if (n < count) throw new Error("has DICOM pixels that are cut off");
  }
  return values;
}

/** Whether averages of values are shown as the values would be. */
function mayReduce(data, rules) {
  return rules >= 3 && (data.table("voiLut") || data.number("width")) && data.whole("padding") === undefined;
}

function isSquare(data) {
  for (const name of ["aspect", "spacing", "imagerSpacing", "scannedSpacing"]) {
    const [vertical, horizontal, ...others] = data.text(name).split("\\").map(Number);
    if (others.length === 0 && vertical > 0 && horizontal > 0) return Math.abs(vertical / horizontal - 1) < 0.01;
  }
  return true;
}

/** Brightness of every code that there can be, looked up for every pixel. */
function show(data, { values, width, height, hasSpare }, bits, rules) {
  const isSigned = data.whole("representation", 0) === 1;
  const lowest = isSigned ? -(2 ** (bits - 1)) : 0;
  const mask = 2 ** bits - 1;
  const codeOf = (pattern) => (((pattern & mask) - lowest) & mask) + lowest; // two's complement
  const present = new Uint8Array(mask + 1); // by code - lowest
  for (const value of values) {
    if (!hasSpare && value > mask) throw new Error(`has DICOM pixels beyond the ${bits} bits that its header says`);
    present[codeOf(value) - lowest] = 1;
  }
  const codes = Array.from(present, (_, place) => place + lowest);
  let isPadding = rules > 1 ? paddingOf(data, isSigned) : () => false;
  if (!codes.some((code, place) => present[place] && !isPadding(code))) isPadding = () => false; // it is nothing else
  const brightness = brightnessOf(data, codes, codes.map((code, place) => present[place] && !isPadding(code)), rules);
  const isInverse = data.text("photometric") === "MONOCHROME1" || data.text("shape").toUpperCase() === "INVERSE";
  const table = Uint8Array.from(codes, (code, place) => {
    if (isPadding(code)) return 0;
    return toEven((isInverse ? 1 - brightness[place] : brightness[place]) * 255);
  });
  return { pixels: Uint8Array.from(values, (value) => table[codeOf(value) - lowest]), width, height };
}

/** Which codes mean that nothing was there (PS3.3, C.7.5.1.1.2). */
function paddingOf(data, isSigned) {
  const given = ["padding", "paddingLimit"].map((name) => data.whole(name, undefined, isSigned));
  if (given[0] === undefined) return () => false;
  const ends = given.filter((value) => value !== undefined);
  return (code) => code >= Math.min(...ends) && code <= Math.max(...ends);
}

function brightnessOf(data, codes, seen, rules) {
  const modality = data.table("modalityLut");
  const lut = data.table("voiLut");
  if (rules === 1 && (modality || lut)) throw new Error("has a LUT, which isn't read here for a model of display rules 1");
  const [slope, intercept] = [data.number("slope", 1), data.number("intercept", 0)];
  if (!slope || !Number.isFinite(slope * 65536) || !Number.isFinite(intercept)) throw new Error("has no rescale slope that is one");
  const values = modality ? lookUp(codes, modality).values : codes.map((code) => code * slope + intercept);
  if (lut) {
    const { values: found, highest } = lookUp(values, lut);
    return found.map((value) => value / Math.max(highest, 1));
  }
  const [center, width] = [data.number("center"), data.number("width")];
  if (center !== undefined && (width || (rules === 1 && width !== undefined))) {
    const shown = values.map(windowed(center, width, data.text("windowFunction").toUpperCase() || "LINEAR"));
    const levels = shown.filter((_, place) => seen[place]);
    if (rules === 1 || levels.some((level) => level !== levels[0])) return shown;
  }
  let [least, largest] = [Infinity, -Infinity];
  values.forEach((value, place) => {
    if (rules > 1 && !seen[place]) return;
    least = Math.min(least, value);
    largest = Math.max(largest, value);
  });
  return values.map((value) => stretched(value, least, largest));
}

/** PS3.3, C.11.2.1.2 and C.11.2.1.3. */
function windowed(center, width, kind) {
  const clip = (brightness) => Math.min(1, Math.max(0, brightness));
  if (!(width > 0) || !Number.isFinite(center) || (kind === "LINEAR" && width < 1)) throw new Error(`has a window of width ${width}`);
  if (kind === "SIGMOID") return (v) => 1 / (1 + Math.exp(Math.min(700, Math.max(-700, (-4 * (v - center)) / width))));
  if (kind === "LINEAR_EXACT") return (v) => clip((v - center) / width + 0.5);
  if (kind !== "LINEAR") throw new Error("has a VOI LUT Function that the standard does not define");
  if (width === 1) return (v) => Number(v > center - 0.5);
  return (v) => clip((v - (center - 0.5)) / (width - 1) + 0.5);
}

/** Values through a LUT (PS3.3, C.11.1.1), and the value that is white: its largest one if that needs fewer bits. */
function lookUp(values, item) {
  const words = (name) => {
    const { value } = item.found.get(TAGS[name]);
    const view = new DataView(value.buffer, value.byteOffset, value.length);
    return Array.from({ length: value.length >> 1 }, (_, n) => view.getUint16(2 * n, item.isLittle));
  };
  const [size, start, bits] = words("lutDescriptor");
  const entries = size || 65536;
  const bytes = item.found.get(TAGS.lutData).value;
  const numbers = bytes.length < 2 * entries ? [...bytes] : words("lutData");
  if (!(bits >= 8 && bits <= 16) || numbers.length < entries) throw new Error("has a LUT that is damaged");
  const most = numbers.slice(0, entries).reduce((a, b) => Math.max(a, b), 0);
  const highest = most < 2 ** (bits - 1) ? most : 2 ** bits - 1;
  const first = start > 32767 && values.some((value) => value < 0) ? start - 65536 : start;
  return {
    values: values.map((v) => Math.min(highest, numbers[Math.min(entries - 1, Math.max(0, toEven(v) - first))])),
    highest,
  };
}
