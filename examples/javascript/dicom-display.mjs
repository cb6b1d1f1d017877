// How the stored values of a DICOM film are shown: as a viewer would (PS3.4, N.2), by the rules of cxrscribe's docs/films.md.

import { viewOf } from "./bytes.mjs";
import { FilmError, lookedUp, stretched, toEven } from "./levels.mjs";

/** @typedef {import("./dicom-elements.mjs").Elements} Elements */
/** @typedef {import("./dicom-frame.mjs").Frame} Frame */
/** @typedef {import("../web/src/types.js").Stored} Stored */

/**
 * What every code stands for that the stored bits allow, the lowest first.
 *
 * @typedef {object} Display
 * @property {number} lowest code
 * @property {number[]} values behind the modality's LUT or rescaling
 * @property {boolean[]} isPadding
 * @property {boolean} isInverse
 * @property {Uint8Array} table grey levels
 * @property {boolean} isRange whether it is the range of the pixels that is shown: no window, or one that shows nothing
 * @property {import("../web/src/types.js").Window} window the file's, or the range that is used
 */

/**
 * @param {Elements} data
 * @param {Frame} frame
 * @param {number} rules version of the display
 * @returns {Display}
 */
export function displayOf(data, frame, rules) {
  const bits = data.whole("stored") ?? 0;
  const lowest = data.isSigned ? -(2 ** (bits - 1)) : 0;
  const present = presentCodes(frame, bits, lowest);
  const codes = Array.from({ length: 2 ** bits }, (_, place) => place + lowest);
  let isPadding = codes.map(rules > 1 ? paddingOf(data) : () => false);
  if (!codes.some((_, place) => present[place] && !isPadding[place])) isPadding = codes.map(() => false); // it is nothing else
  const seen = codes.map((_, place) => rules === 1 || (present[place] === 1 && !isPadding[place]));
  const isInverse = data.text("photometric") === "MONOCHROME1" || data.text("shape").toUpperCase() === "INVERSE";
  const { values, brightness, isRange, window } = brightnessOf(data, codes, seen, rules);
  const table = Uint8Array.from(codes, (_, place) => {
    if (isPadding[place]) return 0;
    return toEven((isInverse ? 1 - brightness[place] : brightness[place]) * 255);
  });
  return { lowest, values, isPadding, isInverse, table, isRange, window };
}

/**
 * Grey levels of a frame.
 *
 * @param {Display} display
 * @param {Frame} frame
 */
export function shown({ table, lowest }, { values }) {
  const byPattern = new Uint8Array(65536); // of the 16 bits of a value, those that aren't stored among them
  for (let pattern = 0; pattern < byPattern.length; pattern++) {
    byPattern[pattern] = table[(pattern - lowest) & (table.length - 1)];
  }
  return lookedUp(byPattern, values);
}

/**
 * The stored values for a viewer, as places in what they mean.
 *
 * @param {Display} display
 * @param {Frame} frame at the size that a viewer gets
 * @returns {Stored}
 */
export function storedOf(display, { values, width, height }) {
  const { lowest, isPadding, isInverse, window } = display;
  const count = display.values.length;
  const codes = count > 256 ? new Uint16Array(values.length) : new Uint8Array(values.length);
  for (let n = 0; n < codes.length; n++) codes[n] = (values[n] - lowest) & (count - 1);
  const meanings = Float32Array.from(display.values, (value, place) => (isPadding[place] ? NaN : value));
  return { codes, width, height, values: meanings, isInverse, window };
}

/**
 * Which codes a frame has, 0 or 1 of each.
 *
 * @param {Frame} frame
 * @param {number} bits
 * @param {number} lowest
 */
function presentCodes({ values, mayMask }, bits, lowest) {
  const size = 2 ** bits;
  const present = new Uint8Array(size);
  let [least, largest] = [Infinity, -Infinity];
  for (let n = 0; n < values.length; n++) {
    const value = values[n];
    if (value < least) least = value;
    if (value > largest) largest = value;
    present[(value - lowest) & (size - 1)] = 1; // two's complement
  }
  if (!mayMask && (least < lowest || largest >= lowest + size)) {
    throw new FilmError(`has DICOM pixels beyond the ${bits} bits that its header says`);
  }
  return present;
}

/**
 * Which codes mean that nothing was there (PS3.3, C.7.5.1.1.2).
 *
 * @param {Elements} data
 * @returns {(code: number) => boolean}
 */
function paddingOf(data) {
  const [value, limit] = [data.whole("padding", data.isSigned), data.whole("paddingLimit", data.isSigned)];
  if (value === undefined) return () => false;
  const [least, largest] = [Math.min(value, limit ?? value), Math.max(value, limit ?? value)];
  return (code) => code >= least && code <= largest;
}

/**
 * @param {Elements} data
 * @param {number[]} codes
 * @param {boolean[]} seen which of them count for a range
 * @param {number} rules
 */
function brightnessOf(data, codes, seen, rules) {
  const [modality, lut] = [data.table("modalityLut"), data.table("voiLut")];
  if (rules === 1 && (modality || lut)) {
    throw new FilmError("has a LUT, which isn't read here for a model of display rules 1");
  }
  const values = modality ? lookUp(codes, modality).values : rescaled(data, codes);
  let [least, largest] = [Infinity, -Infinity];
  values.forEach((value, place) => {
    if (!seen[place]) return;
    least = Math.min(least, value);
    largest = Math.max(largest, value);
  });
  const range = { center: (least + largest) / 2, width: largest - least };
  if (lut) {
    const { values: found, highest } = lookUp(values, lut);
    return { values, brightness: found.map((value) => value / Math.max(highest, 1)), isRange: false, window: range };
  }
  const [center, width] = [data.number("center"), data.number("width")];
  if (center !== undefined && (width || (rules === 1 && width !== undefined))) {
    const brightness = values.map(windowed(center, width, data.text("windowFunction").toUpperCase() || "LINEAR"));
    const levels = brightness.filter((_, place) => seen[place]);
    const isRange = rules > 1 && levels.every((level) => level === levels[0]);
    if (!isRange) return { values, brightness, isRange, window: { center, width } };
  }
  return { values, brightness: values.map((value) => stretched(value, least, largest)), isRange: true, window: range };
}

/**
 * @param {Elements} data
 * @param {number[]} codes
 */
function rescaled(data, codes) {
  const [slope, intercept] = [data.number("slope") ?? 1, data.number("intercept") ?? 0];
  if (!slope || !Number.isFinite(slope * 65536) || !Number.isFinite(intercept)) {
    throw new FilmError("has no rescale slope that is one");
  }
  return codes.map((code) => code * slope + intercept);
}

/**
 * PS3.3, C.11.2.1.2 and C.11.2.1.3.
 *
 * @param {number} center
 * @param {number} width
 * @param {string} kind
 * @returns {(value: number) => number}
 */
function windowed(center, width, kind) {
  const clip = (/** @type {number} */ brightness) => Math.min(1, Math.max(0, brightness));
  const isWidth = Number.isFinite(width) && width > 0 && !(kind === "LINEAR" && width < 1);
  if (!isWidth || !Number.isFinite(center)) throw new FilmError(`has a window of width ${width}`);
  if (kind === "SIGMOID") return (v) => 1 / (1 + Math.exp(Math.min(700, Math.max(-700, (-4 * (v - center)) / width))));
  if (kind === "LINEAR_EXACT") return (v) => clip((v - center) / width + 0.5);
  if (kind !== "LINEAR") throw new FilmError("has a VOI LUT Function that the standard does not define");
  if (width === 1) return (v) => Number(v > center - 0.5);
  return (v) => clip((v - (center - 0.5)) / (width - 1) + 0.5);
}

/**
 * Values through a LUT (PS3.3, C.11.1.1), and the value that is white: its largest one if that needs fewer bits.
 *
 * @param {number[]} values
 * @param {Elements} item
 */
function lookUp(values, item) {
  const words = (/** @type {Uint8Array} */ bytes) => {
    const view = viewOf(bytes);
    return Array.from({ length: bytes.length >> 1 }, (_, n) => view.getUint16(2 * n, item.isLittle));
  };
  const [size, start, bits] = words(item.bytes("lutDescriptor"));
  const entries = size || 65536;
  const bytes = item.bytes("lutData");
  const numbers = bytes.length < 2 * entries ? [...bytes] : words(bytes);
  if (!(bits >= 8 && bits <= 16) || numbers.length < entries) throw new FilmError("has a LUT that is damaged");
  const most = numbers.slice(0, entries).reduce((a, b) => Math.max(a, b), 0);
  const highest = most < 2 ** (bits - 1) ? most : 2 ** bits - 1;
  const first = start > 32767 && values.some((value) => value < 0) ? start - 65536 : start;
  return {
    values: values.map((v) => Math.min(highest, numbers[Math.min(entries - 1, Math.max(0, toEven(v) - first))])),
    highest,
  };
}
