import assert from "node:assert/strict";
import { test } from "node:test";
import { paint } from "./paint.js";
import { fitted } from "./view.js";

function painted(codes: number[], width: number, canvas: { width: number; height: number }, scale?: number) {
  const source = {
    codes: Uint8Array.from(codes),
    width,
    height: codes.length / width,
    levels: Uint8Array.from({ length: 256 }, (_, code) => 255 - code),
  };
  const view = fitted(source, canvas);
  const pixels = new Uint32Array(canvas.width * canvas.height).fill(123);
  paint(source, source, scale ? { ...view, scale } : view, canvas, pixels);
  return [...pixels];
}

const grey = (level: number) => (0xff000000 | (level * 0x10101)) >>> 0;

test("a film at its own size is its levels", () => {
  assert.deepEqual(painted([0, 1, 2, 3, 4, 255], 3, { width: 3, height: 2 }), [255, 254, 253, 252, 251, 0].map(grey));
});

test("a smaller one is averaged", () => {
  assert.deepEqual(painted([0, 10, 20, 30, 0, 10, 20, 30], 4, { width: 2, height: 1 }), [grey(250), grey(230)]);
});

test("a very small one is of samples", () => {
  assert.deepEqual(painted(Array(100 * 100).fill(55), 100, { width: 1, height: 1 }), [grey(200)]);
});

test("a larger one goes over from pixel to pixel", () => {
  const row = painted([255, 55], 2, { width: 8, height: 4 }).slice(0, 8);
  assert.deepEqual(row, [0, 0, 25, 75, 125, 175, 200, 200].map(grey));
});

test("around the film nothing is drawn", () => {
  assert.deepEqual(painted([0, 0], 2, { width: 4, height: 1 }, 1), [0, grey(255), grey(255), 0]);
});

test("what is stored of a film whose pixels aren't square is stretched to its shape", () => {
  const source = {
    codes: Uint8Array.of(10, 20),
    width: 2,
    height: 1,
    levels: Uint8Array.from({ length: 256 }, (_, n) => n),
  };
  const film = { width: 2, height: 4 };
  const canvas = { width: 4, height: 4 };
  const pixels = new Uint32Array(16);
  paint(source, film, fitted(film, canvas), canvas, pixels);
  const row = [0, grey(10), grey(20), 0];
  assert.deepEqual([...pixels], [...row, ...row, ...row, ...row]);
});
