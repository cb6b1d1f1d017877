// A film as grey levels, out of a file of any kind that examples/javascript reads.

import { readFile } from "node:fs/promises";

import { readFilm as readBytes } from "../javascript/film.mjs";

/** {pixels: Uint8Array, width, height}, black 0. `preprocessing` is the model's, of its metadata. */
export async function readFilm(path, preprocessing) {
  const file = await readFile(path).catch((error) => {
    throw new Error(`${path} can't be read: ${error.message}`, { cause: error });
  });
  try {
    return await readBytes(file, preprocessing);
  } catch (error) {
    throw new Error(`${path}: ${error.message}`, { cause: error });
  }
}
