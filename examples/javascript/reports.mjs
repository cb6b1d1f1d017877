// What a run of the model found, as reports that people read.

import { readable } from "./words.mjs";

/**
 * Best first; none where no report was found.
 * @param {Record<"tokens" | "lengths" | "scores" | "finished", { data: any, dims: readonly number[] }>} outputs
 *   of one film: tokens and lengths are int64, which come as BigInt
 * @param {string[]} words the vocabulary
 * @param {string} model its name, for errors
 * @returns {{ text: string, score: number, isFinished: boolean }[]}
 */
export function reportsOf({ tokens, lengths, scores, finished }, words, model) {
  const [, beams, longest] = tokens.dims;
  const reports = [];
  for (let k = 0; k < beams && scores.data[k] !== -Infinity; k++) {
    const ids = Array.from(tokens.data.subarray(k * longest, k * longest + Number(lengths.data[k])), Number);
    if (ids.some((id) => id < 0 || id >= words.length))
      throw new Error(`the vocabulary of ${model} is damaged: make the file anew`);
    reports.push({
      text: readable(ids.map((id) => words[id])),
      score: scores.data[k],
      isFinished: Boolean(finished.data[k]),
    });
  }
  return reports;
}
