// The elements of a DICOM file that showing its film needs (PS3.5, 7.1, and PS3.10, 7.1). Nothing of a patient is looked at.

import { startsWith, textOf, viewOf } from "./bytes.mjs";
import { inflate } from "./inflate.mjs";
import { FilmError } from "./levels.mjs";

const TRANSFER = "1.2.840.10008.1.2";
const [IMPLICIT, DEFLATED] = [TRANSFER, `${TRANSFER}.1.99`];
export const BIG_ENDIAN = `${TRANSFER}.2`;
const [PIXELS, ITEM, ITEM_END, SEQUENCE_END] = ["7fe00010", "fffee000", "fffee00d", "fffee0dd"];
const UNDEFINED = 0xffffffff;
const LONG = ["OB", "OW", "OF", "OD", "OL", "OV", "SQ", "UC", "UN", "UR", "UT", "SV", "UV"]; // PS3.5, 7.1.2
const MOST_ELEMENTS = 100_000; // a film has about a thousand
const MOST_INFLATED = 201_000_000;
const PREAMBLE = 128;
const MARK = [0x44, 0x49, 0x43, 0x4d]; // DICM
// Length or version of the file meta information, at its beginning: files that have lost their preamble.
const META_STARTS = [
  [2, 0, 0, 0, 0x55, 0x4c],
  [2, 0, 1, 0, 0x4f, 0x42],
];
const TAGS = {
  sopClass: "00080016",
  modality: "00080060",
  bodyPart: "00180015",
  samples: "00280002",
  photometric: "00280004",
  frames: "00280008",
  rows: "00280010",
  columns: "00280011",
  aspect: "00280034",
  allocated: "00280100",
  stored: "00280101",
  high: "00280102",
  representation: "00280103",
  padding: "00280120",
  paddingLimit: "00280121",
  center: "00281050",
  width: "00281051",
  intercept: "00281052",
  slope: "00281053",
  windowFunction: "00281056",
  modalityLut: "00283000",
  voiLut: "00283010",
  lutDescriptor: "00283002",
  lutData: "00283006",
  shape: "20500020",
  spacing: "00280030",
  imagerSpacing: "00181164",
  scannedSpacing: "00182010",
};

/** @typedef {keyof typeof TAGS} Name */
/** @typedef {{ value: Uint8Array, items?: Elements[], pieces?: Uint8Array[] }} Element */

/** @param {Uint8Array} file */
const hasPreamble = (file) => startsWith(file.subarray(PREAMBLE), MARK);

/** @param {Uint8Array} file */
export function isDicom(file) {
  return hasPreamble(file) || META_STARTS.some((start) => startsWith(file, start));
}

/** Elements of a file or of an item, by their tags. */
export class Elements {
  /**
   * @param {boolean} isExplicit whether they say their kinds
   * @param {boolean} isLittle
   * @param {{ left: number }} budget of elements that are still read
   */
  constructor(isExplicit, isLittle, budget) {
    this.isExplicit = isExplicit;
    this.isLittle = isLittle;
    this.budget = budget;
    this.syntax = "";
    /** @type {Map<string, Element>} */
    this.found = new Map();
  }

  /** @param {Name} name */
  bytes(name) {
    return this.found.get(TAGS[name])?.value ?? new Uint8Array(0);
  }

  /** @param {Name} name */
  text(name) {
    return textOf(this.bytes(name))
      .replace(/[\0 ]+$/, "")
      .trim();
  }

  /**
   * The first of one or several decimal numbers.
   *
   * @param {Name} name
   */
  number(name) {
    const first = this.text(name).split("\\")[0].trim();
    return first === "" ? undefined : Number(first);
  }

  /**
   * A whole number of 16 bits, US or SS.
   *
   * @param {Name} name
   */
  whole(name, isSigned = false) {
    const value = this.bytes(name);
    if (!value.length) return undefined;
    return isSigned ? viewOf(value).getInt16(0, this.isLittle) : viewOf(value).getUint16(0, this.isLittle);
  }

  /**
   * Elements of a sequence's first item, if that has something to look up.
   *
   * @param {Name} name
   */
  table(name) {
    const item = this.found.get(TAGS[name])?.items?.[0];
    return item?.bytes("lutDescriptor").length && item.bytes("lutData").length ? item : undefined;
  }

  /** Pixel Data, or undefined. */
  get pixels() {
    return this.found.get(PIXELS);
  }

  get isSigned() {
    return this.whole("representation") === 1;
  }

  /**
   * Adds the elements from `place` to `end`, or to the first one that `stops`. The place behind them.
   *
   * @param {Uint8Array} file
   * @param {number} place
   * @param {number} end
   * @param {(tag: string) => boolean} stops
   */
  parse(file, place, end, stops) {
    const view = viewOf(file);
    while (place + 8 <= end) {
      const tag = tagAt(view, place, this.isLittle);
      if (stops(tag)) break;
      if (this.budget.left-- <= 0) throw new FilmError("is a DICOM file of too many elements");
      const kind = this.isExplicit && !tag.startsWith("fffe") ? textOf(file, place + 4, place + 6) : "";
      const isLong = !kind || LONG.includes(kind);
      const length = isLong
        ? view.getUint32(place + (kind ? 8 : 4), this.isLittle)
        : view.getUint16(place + 6, this.isLittle);
      const begin = place + (kind && isLong ? 12 : 8);
      if (tag === ITEM_END || tag === SEQUENCE_END) return begin;
      if (length !== UNDEFINED && begin + length > end) throw new RangeError();
      if (tag === PIXELS && length === UNDEFINED) {
        const pieces = piecesOf(file, begin, this.isLittle);
        this.found.set(tag, { value: new Uint8Array(0), pieces });
        break; // nothing behind the pixels is needed
      }
      if (kind === "SQ" || length === UNDEFINED || tag === TAGS.modalityLut || tag === TAGS.voiLut) {
        /** @type {Elements[]} */
        const items = [];
        place = this.parseItems(file, begin, length === UNDEFINED ? end : begin + length, items);
        this.found.set(tag, { value: new Uint8Array(0), items });
      } else {
        this.found.set(tag, { value: file.subarray(begin, begin + length) });
        place = begin + length;
      }
    }
    return place;
  }

  /**
   * Items up to a delimiter or to `end`. The place behind them.
   *
   * @param {Uint8Array} file
   * @param {number} place
   * @param {number} end
   * @param {Elements[]} items
   */
  parseItems(file, place, end, items) {
    const view = viewOf(file);
    while (place + 8 <= end) {
      const tag = tagAt(view, place, this.isLittle);
      const length = view.getUint32(place + 4, this.isLittle);
      place += 8;
      if (tag === SEQUENCE_END) return place;
      if (tag !== ITEM || this.budget.left-- <= 0) throw new RangeError();
      const item = new Elements(this.isExplicit, this.isLittle, this.budget);
      place = item.parse(file, place, length === UNDEFINED ? end : place + length, () => false);
      items.push(item);
    }
    return place;
  }
}

/**
 * The items of compressed pixels, up to their delimiter.
 *
 * @param {Uint8Array} file
 * @param {number} place
 * @param {boolean} isLittle
 */
function piecesOf(file, place, isLittle) {
  const view = viewOf(file);
  const pieces = [];
  for (;;) {
    const tag = tagAt(view, place, isLittle);
    const length = view.getUint32(place + 4, isLittle);
    place += 8;
    if (tag === SEQUENCE_END) return pieces;
    if (tag !== ITEM || place + length > file.length || pieces.length === MOST_ELEMENTS) throw new RangeError();
    pieces.push(file.subarray(place, place + length));
    place += length;
  }
}

/**
 * Eight digits.
 *
 * @param {DataView} view
 * @param {number} place
 * @param {boolean} isLittle
 */
function tagAt(view, place, isLittle) {
  const number = view.getUint16(place, isLittle) * 65536 + view.getUint16(place + 2, isLittle);
  return number.toString(16).padStart(8, "0");
}

/**
 * The elements of a DICOM file up to its pixels, which it has to have.
 *
 * @param {Uint8Array} file
 * @param {(syntax: string) => boolean} isRead whether pixels of this transfer syntax are
 */
export function readElements(file, isRead) {
  try {
    return read(file, isRead);
  } catch (error) {
    if (error instanceof RangeError) throw new FilmError("is a DICOM file that is damaged or cut off");
    throw error;
  }
}

/**
 * @param {Uint8Array} file
 * @param {(syntax: string) => boolean} isRead
 */
function read(file, isRead) {
  const budget = { left: MOST_ELEMENTS };
  const meta = new Elements(true, true, budget);
  const start = hasPreamble(file) ? PREAMBLE + MARK.length : 0;
  let place = meta.parse(file, start, file.length, (tag) => !tag.startsWith("0002"));
  const syntax = textOf(meta.found.get("00020010")?.value ?? new Uint8Array(0)).replace(/[\0 ]+$/, "");
  if (syntax !== DEFLATED && !isRead(syntax)) {
    const named = /^[0-9.]{1,64}$/.test(syntax) ? syntax : "unknown";
    throw new FilmError(`has DICOM pixels of transfer syntax ${named}, which isn't read here`);
  }
  if (syntax === DEFLATED) {
    file = inflate(file.subarray(place), MOST_INFLATED, true);
    place = 0;
  }
  const data = new Elements(syntax !== IMPLICIT, syntax !== BIG_ENDIAN, budget);
  data.syntax = syntax;
  data.parse(file, place, file.length, (tag) => tag > PIXELS);
  if (!data.pixels) throw new FilmError("is a DICOM file without a picture, or one that is cut off");
  return data;
}
