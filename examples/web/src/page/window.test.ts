import assert from "node:assert/strict";
import { test } from "node:test";
import type { Stored } from "../types.js";
import { changed, dragged, kept, levelsThrough, rangeOf, stepOf } from "./window.js";

function stored(values: number[], isInverse = false): Stored {
  return {
    codes: new Uint16Array(values.length),
    width: values.length,
    height: 1,
    values: Float32Array.from(values),
    isInverse,
    window: { center: 0, width: 1 },
  };
}

test("values go from black to white over the window", () => {
  const levels = levelsThrough(stored([-1000, 50, 100, 150, 1000]), { center: 100, width: 100 });
  assert.deepEqual([...levels], [0, 0, 128, 255, 255]);
});

test("the largest value is black where the film is inverse, and padding is black always", () => {
  const window = { center: 100, width: 100 };
  assert.deepEqual([...levelsThrough(stored([0, 100, 200, Number.NaN], true), window)], [255, 128, 0, 0]);
  assert.equal(levelsThrough(stored([Number.NaN]), window)[0], 0);
});

test("the range leaves out padding", () => {
  assert.deepEqual(rangeOf(Float32Array.of(Number.NaN, 7, -3, 5)), { least: -3, largest: 7 });
  assert.deepEqual(rangeOf(Float32Array.of(Number.NaN)), { least: 0, largest: 1 });
});

test("steps fit the values", () => {
  assert.equal(stepOf({ least: 0, largest: 4095 }), 10);
  assert.equal(stepOf({ least: 0, largest: 255 }), 1);
  assert.ok(Math.abs(stepOf({ least: 0, largest: 1 }) - 0.01) < 1e-12);
  assert.equal(stepOf({ least: 5, largest: 5 }), 1);
});

test("a window stays where there is something to see, in numbers that can be typed", () => {
  const range = { least: 0, largest: 4095 };
  assert.deepEqual(kept({ center: 1e9, width: 1e9 }, range), { center: 8190, width: 16380 });
  assert.deepEqual(kept({ center: -1e9, width: -5 }, range), { center: -4095, width: 10 });
  assert.deepEqual(changed({ center: 2000, width: 400 }, range, 10.4, -20.6), { center: 2010, width: 379 });
  const small = changed({ center: 0.5, width: 0.25 }, { least: 0, largest: 1 }, 0.1, 0);
  assert.deepEqual(small, { center: 0.6, width: 0.25 });
});

test("dragging to the right widens, and moves a narrow window with a light hand", () => {
  const range = { least: 0, largest: 4095 };
  assert.deepEqual(dragged({ center: 2000, width: 400 }, range, 10, 20), { center: 2020, width: 410 });
  assert.deepEqual(dragged({ center: 2000, width: 4000 }, range, -10, 20), { center: 2200, width: 3900 });
});

test("many small drags get as far as one", () => {
  const range = { least: 0, largest: 255 };
  let window = { center: 128, width: 100 };
  for (let n = 0; n < 40; n++) window = dragged(window, range, 0, 1);
  assert.ok(Math.abs(window.center - 138) <= 1, `${window.center}`);
});
