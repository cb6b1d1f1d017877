// A film fitted into what a model sees, to the bit as `cxrscribe preprocess` does it: "The definition of the pixels" in
// cxrscribe's docs/films.md. A file made with `--input film` does it by itself, but not of resolutions of JPEG 2000, and it
// doesn't say that there is nothing to see.

import { FilmError } from "./levels.mjs";

/** @typedef {import("./levels.mjs").Picture} Picture */
/** @typedef {import("./dicom-frame.mjs").Resolution} Resolution */

const GAP = 3; // how many times larger than wanted the average of blocks stays
const WEIGHT_BITS = 22;
const [LEAST_LEVELS, LEAST_DEVIATION] = [8, 2];

/**
 * The picture that the network sees, [height, width] of it: a graph that takes films of any size leaves it as it is.
 * Throws a FilmError where there is nothing to see.
 *
 * @param {Picture & { resolution?: Resolution }} film
 * @param {{ height: number, width: number }} preprocessing
 * @returns {Picture}
 */
export function fitFilm(film, { height, width }) {
  const [rows, columns] = fittedSize(film.resolution ?? film, height, width);
  const fitted = resample(film, rows, columns, GAP, film.resolution);
  checkVisible(fitted.pixels);
  const pixels = new Uint8Array(height * width);
  const [top, left] = [(height - rows) >> 1, (width - columns) >> 1];
  for (let y = 0; y < rows; y++) {
    pixels.set(fitted.pixels.subarray(y * columns, (y + 1) * columns), (top + y) * width + left);
  }
  return { pixels, width, height };
}

/**
 * Halves round up; at least one pixel.
 *
 * @param {{ height: number, width: number }} film
 * @param {number} height
 * @param {number} width
 */
function fittedSize(film, height, width) {
  const [h, w] = [film.height, film.width];
  if (w * height >= h * width) return [Math.max(1, Math.floor((2 * h * width + w) / (2 * w))), width];
  return [height, Math.max(1, Math.floor((2 * w * height + h) / (2 * h)))];
}

/**
 * A picture of another size. `gap`: how many times larger than the result the average of blocks stays; 0 for no blocks.
 *
 * @param {Picture} picture
 * @param {number} height
 * @param {number} width
 * @param {number} [gap]
 * @param {Resolution} [resolution] of which film the picture is one
 */
export function resample(picture, height, width, gap = 0, resolution = undefined) {
  if (picture.height === height && picture.width === width && !resolution) return picture;
  const shift = resolution ? (resolution.times - 1) / 2 / resolution.times : 0;
  let [tall, wide] = [picture.height, picture.width];
  let now = picture;
  if (resolution) {
    [tall, wide] = [resolution.height / resolution.times, resolution.width / resolution.times];
    now = withLastRepeated(picture);
  } else if (gap) {
    const rows = Math.max(1, Math.floor(tall / height / gap));
    const columns = Math.max(1, Math.floor(wide / width / gap));
    if (rows > 1 || columns > 1) now = averaged(picture, rows, columns);
    [tall, wide] = [tall / rows, wide / columns];
  }
  if (shift || now.width !== width || wide !== width) now = alongRows(now, width, wide, shift);
  if (shift || now.height !== height || tall !== height) now = alongColumns(now, height, tall, shift);
  return now;
}

/** @param {Picture} picture */
function withLastRepeated({ pixels, width, height }) {
  const larger = new Uint8Array((width + 1) * (height + 1));
  for (let y = 0; y <= height; y++) {
    const row = pixels.subarray(Math.min(y, height - 1) * width, (Math.min(y, height - 1) + 1) * width);
    larger.set(row, y * (width + 1));
    larger[y * (width + 1) + width] = row[width - 1];
  }
  return { pixels: larger, width: width + 1, height: height + 1 };
}

/**
 * Averages of blocks; the last ones of a side may be smaller.
 *
 * @param {Picture} picture
 * @param {number} rows
 * @param {number} columns
 */
function averaged({ pixels, width, height }, rows, columns) {
  const [w, h] = [Math.ceil(width / columns), Math.ceil(height / rows)];
  const means = new Uint8Array(w * h);
  const sums = new Float64Array(w);
  for (let y = 0; y < h; y++) {
    const tall = Math.min(rows, height - y * rows);
    sums.fill(0);
    for (let r = 0; r < tall; r++) {
      const start = (y * rows + r) * width;
      for (let x = 0, from = 0; x < w; x++) {
        let sum = 0;
        for (const end = Math.min(from + columns, width); from < end; from++) sum += pixels[start + from];
        sums[x] += sum;
      }
    }
    for (let x = 0; x < w; x++) {
      const count = tall * Math.min(columns, width - x * columns);
      const reciprocal = Math.trunc(Math.fround(2 ** 24 / count));
      means[y * w + x] = Math.floor(((sums[x] + (count >> 1)) * reciprocal) / 2 ** 24);
    }
  }
  return { pixels: means, width: w, height: h };
}

/**
 * Of each pixel of the result, where it begins in its source, and its weights from there on.
 *
 * @param {number} source
 * @param {number} size
 * @param {number} length of the source's pixels that the result stands for, from
 * @param {number} start on
 */
function weightsOf(source, size, length, start) {
  const scale = Math.fround(Math.fround(start + length) - Math.fround(start)) / size;
  const reach = Math.max(scale, 1);
  return Array.from({ length: size }, (_, place) => {
    const center = start + (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const last = Math.min(source, Math.trunc(center + reach + 0.5));
    const heights = [];
    let total = 0;
    for (let n = first; n < last; n++) {
      const height = Math.max(0, 1 - Math.abs((n - center + 0.5) * (1 / reach)));
      heights.push(height);
      total += height;
    }
    return {
      first,
      weights: Int32Array.from(heights, (height) => Math.trunc(0.5 + (height / total) * 2 ** WEIGHT_BITS)),
    };
  });
}

/**
 * @param {Picture} picture
 * @param {number} size
 * @param {number} length
 * @param {number} start
 */
function alongRows({ pixels, width, height }, size, length, start) {
  const filtered = new Uint8ClampedArray(size * height);
  weightsOf(width, size, length, start).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y++) {
      let sum = 1 << (WEIGHT_BITS - 1);
      for (let k = 0, at = y * width + first; k < weights.length; k++) sum += pixels[at + k] * weights[k];
      filtered[y * size + x] = sum >> WEIGHT_BITS;
    }
  });
  return { pixels: new Uint8Array(filtered.buffer), width: size, height };
}

/**
 * @param {Picture} picture
 * @param {number} size
 * @param {number} length
 * @param {number} start
 */
function alongColumns({ pixels, width, height }, size, length, start) {
  const filtered = new Uint8ClampedArray(width * size);
  weightsOf(height, size, length, start).forEach(({ first, weights }, y) => {
    for (let x = 0; x < width; x++) {
      let sum = 1 << (WEIGHT_BITS - 1);
      for (let k = 0, at = first * width + x; k < weights.length; k++, at += width) sum += pixels[at] * weights[k];
      filtered[y * width + x] = sum >> WEIGHT_BITS;
    }
  });
  return { pixels: new Uint8Array(filtered.buffer), width, height: size };
}

/** @param {Uint8Array} pixels fitted, without what is added around them */
function checkVisible(pixels) {
  const counts = new Float64Array(256);
  for (let n = 0; n < pixels.length; n++) counts[pixels[n]]++;
  const levels = counts.filter((count) => count > 0).length;
  const mean = counts.reduce((sum, count, level) => sum + count * level, 0) / pixels.length;
  const squares = counts.reduce((sum, count, level) => sum + count * (level - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / pixels.length);
  if (levels >= LEAST_LEVELS && deviation >= LEAST_DEVIATION) return;
  throw new FilmError(
    `has nothing to see: ${levels} grey level${levels === 1 ? "" : "s"}, standard deviation ${deviation.toFixed(1)} of 255, ` +
      `where a film has at least ${LEAST_LEVELS} and ${LEAST_DEVIATION}; look at it in a viewer`,
  );
}
