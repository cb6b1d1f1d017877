// How many of the films that a page shows are kept whole.

import { bytesOf, type Picture } from "./picture.js";

/** Of all films together. A film of 20 megapixels and 16 bits takes 40 of them. */
export const MEGABYTES_KEPT = 400;

/** The places of the films, from the first one on, that have to be reduced for the newest to be kept whole. */
export function toReduce(pictures: readonly Picture[], megabytes = MEGABYTES_KEPT): number[] {
  const places: number[] = [];
  let sum = 0;
  for (let place = pictures.length - 1; place >= 0; place--) {
    const bytes = bytesOf(pictures[place] as Picture);
    if (sum + bytes > megabytes * 1e6 && place < pictures.length - 1) places.unshift(place);
    else sum += bytes;
  }
  return places;
}
