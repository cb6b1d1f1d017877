// What is known of a patient, a text, as the numbers that a model reads: cxrscribe's runtime/cxrscribe/patient_text.py,
// with the same sums in the same order, so that they come out the same to the last bit.

import { clean, MARKS, pairs } from "./cleaning.mjs";

const MOST_CHARACTERS = 100_000; // of a text; the rest isn't read

export class PatientText {
  /** @param {string} json `patient_text` of a file's metadata */
  constructor(json) {
    const { format, cleaning = 1, terms, weights, projection } = JSON.parse(json);
    if (format !== 1 || ![1, 2].includes(cleaning)) {
      throw new Error("the model reads a patient's text by rules that this program doesn't know; take a newer one");
    }
    this.cleaning = cleaning;
    /** @type {Map<string, number>} */
    this.places = new Map(terms.map((/** @type {string} */ term, /** @type {number} */ place) => [term, place]));
    this.weights = Float32Array.from(weights);
    /** @type {Float32Array[]} */
    this.projection = projection.map((/** @type {number[]} */ row) => Float32Array.from(row));
    /** P */
    this.size = this.projection[0].length;
  }

  /**
   * The numbers of a text, P of them: zeros for one without a word that is known.
   * @param {string} text
   */
  encode(text) {
    const found = termsOf(text, this.cleaning).map((term) => this.places.get(term));
    const places = [...new Set(found)].filter((place) => place !== undefined).sort((one, other) => one - other);
    const weights = unit(Float64Array.from(places, (place) => this.weights[place]));
    const rows = places.map((place, n) => Float64Array.from(this.projection[place], (value) => weights[n] * value));
    // numpy adds one row to the next, and halves of what is a single column.
    return Float32Array.from({ length: this.size }, (_, column) => {
      const values = Float64Array.from(rows, (row) => row[column]);
      return this.size === 1 ? pairwiseSum(values) : values.reduce((sum, value) => sum + value, 0);
    });
  }
}

/**
 * The words of a text and the pairs of neighbours within a sentence, in order, without marks.
 * @param {string} text
 * @param {number} cleaning
 */
export function termsOf(text, cleaning) {
  const terms = [];
  let run = /** @type {string[]} */ ([]);
  for (const word of [...clean(cut(text), cleaning), "."]) {
    if (!MARKS.has(word)) run.push(word);
    else {
      terms.push(...run, ...pairs(run).map((pair) => pair.join(" ")));
      run = [];
    }
  }
  return terms;
}

/** @param {string} text */
function cut(text) {
  return text.length > MOST_CHARACTERS
    ? Array.from(text.slice(0, 2 * MOST_CHARACTERS))
        .slice(0, MOST_CHARACTERS)
        .join("")
    : text;
}

/**
 * The same direction with length 1.
 * @param {Float64Array} values
 */
function unit(values) {
  const length = Math.sqrt(pairwiseSum(values.map((value) => value * value)));
  return length ? values.map((value) => value / length) : values;
}

/**
 * As numpy adds up what lies together: eight sums side by side, and halves of what is longer than 128.
 * @param {Float64Array} values
 * @returns {number}
 */
function pairwiseSum(values) {
  const count = values.length;
  if (count < 8) return values.reduce((sum, value) => sum + value, 0);
  if (count > 128) {
    const half = (count >> 1) - ((count >> 1) % 8);
    return pairwiseSum(values.subarray(0, half)) + pairwiseSum(values.subarray(half));
  }
  const sums = Array.from(values.subarray(0, 8));
  const whole = count - (count % 8);
  for (let n = 8; n < whole; n++) sums[n % 8] += values[n];
  const [a, b, c, d, e, f, g, h] = sums;
  return values.subarray(whole).reduce((sum, value) => sum + value, a + b + (c + d) + (e + f + (g + h)));
}
