import assert from "node:assert/strict";
import { test } from "node:test";
import type { Film } from "../types.js";
import { bytesOf, pictureOf, reduced, toReduce } from "./picture.js";

function dicom(codes: number[], pixels: number[], width: number): Film {
  const height = codes.length / width;
  const stored = {
    codes: Uint16Array.from(codes),
    width,
    height,
    values: Float32Array.from({ length: 10 }, (_, code) => code * 100),
    isInverse: false,
    window: { center: 450, width: 900 },
  };
  return { pixels: Uint8Array.from(pixels), width, height, kind: "DICOM", stored };
}

test("the levels of a DICOM film follow from its pixels, which needn't be kept", () => {
  const film = dicom([3, 5, 3, 9], [30, 77, 30, 255], 2);
  const picture = pictureOf(film);
  assert.equal(picture.codes, film.stored?.codes);
  assert.deepEqual(
    [...picture.codes].map((code) => picture.levels[code]),
    [...film.pixels],
  );
  assert.equal(bytesOf(picture), 8);
});

test("both are kept where one code has two levels", () => {
  const film = dicom([3, 3, 3, 9], [30, 31, 30, 255], 2);
  const picture = pictureOf(film);
  assert.equal(picture.codes, film.pixels);
  assert.equal(picture.levels[31], 31);
  assert.equal(picture.stored, film.stored);
  assert.equal(bytesOf(picture), 12);
});

test("a film without a window is its grey levels", () => {
  const film: Film = { pixels: Uint8Array.of(1, 2, 3, 4), width: 4, height: 1, kind: "PNG" };
  const picture = pictureOf(film);
  assert.equal(picture.codes, film.pixels);
  assert.equal(picture.stored, undefined);
});

test("a reduced film has codes that the film has, at most so many on a side", () => {
  const codes = Array.from({ length: 7 * 10 }, (_, place) => place % 10);
  const picture = pictureOf(dicom(codes, codes, 7));
  const small = reduced(picture, 5);
  assert.deepEqual([small.width, small.height], [3, 5]);
  assert.equal(small.codes.length, 15);
  assert.equal(small.codes[0], codes[7 + 1]);
  assert.equal(small.stored?.codes, small.codes);
  assert.deepEqual([small.stored?.width, small.stored?.height], [3, 5]);
  assert.equal(reduced(picture, 10), picture);
});

test("the newest films stay whole, and the last one always", () => {
  const picture = (megabytes: number) => ({
    codes: new Uint8Array(megabytes * 1e6),
    width: megabytes * 1000,
    height: 1000,
    levels: new Uint8Array(256),
  });
  const pictures = [picture(3), picture(1), picture(4), picture(5)];
  assert.deepEqual(toReduce(pictures, 20), []);
  assert.deepEqual(toReduce(pictures, 10), [0]);
  assert.deepEqual(toReduce(pictures, 9), [0, 1]);
  assert.deepEqual(toReduce(pictures, 1), [0, 1, 2]);
});
