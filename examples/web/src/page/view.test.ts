import assert from "node:assert/strict";
import { test } from "node:test";
import { filmPoint, fitted, isFitted, MOST_MAGNIFIED, panned, resized, zoomed } from "./view.js";

const film = { width: 4000, height: 5000 };
const canvas = { width: 400, height: 600 };

test("a film is as large as the canvas lets it be, and in its middle", () => {
  const view = fitted(film, canvas);
  assert.deepEqual(view, { scale: 0.1, center: { x: 2000, y: 2500 } });
  assert.deepEqual(filmPoint(view, canvas, { x: 0, y: 50 }), { x: 0, y: 0 });
  assert.equal(fitted({ width: 100, height: 50 }, canvas).scale, 4);
});

test("what is under the pointer stays there", () => {
  let view = zoomed(fitted(film, canvas), film, canvas, 8, { x: 200, y: 300 });
  for (const [factor, at] of [
    [1.3, { x: 30, y: 40 }],
    [2, { x: 390, y: 590 }],
    [0.7, { x: 200, y: 1 }],
  ] as const) {
    const before = filmPoint(view, canvas, at);
    view = zoomed(view, film, canvas, factor, at);
    const after = filmPoint(view, canvas, at);
    assert.ok(Math.abs(before.x - after.x) < 1e-6 && Math.abs(before.y - after.y) < 1e-6);
  }
});

test("zoom ends at the whole film and at a pixel's size", () => {
  const view = fitted(film, canvas);
  const near = zoomed(view, film, canvas, 1e9, { x: 0, y: 0 });
  assert.equal(near.scale, MOST_MAGNIFIED);
  assert.deepEqual(zoomed(near, film, canvas, 1e-9, { x: 7, y: 7 }), view);
  const tiny = { width: 10, height: 10 };
  assert.equal(zoomed(fitted(tiny, canvas), tiny, canvas, 2, { x: 0, y: 0 }).scale, 40);
});

test("a film can't be moved away from the canvas", () => {
  const view = zoomed(fitted(film, canvas), film, canvas, 2, { x: 200, y: 300 });
  const corner = panned(view, film, canvas, 1e6, 1e6);
  assert.deepEqual(filmPoint(corner, canvas, { x: 0, y: 0 }), { x: 0, y: 0 });
  const other = panned(view, film, canvas, -1e6, -1e6);
  assert.deepEqual(filmPoint(other, canvas, { x: 400, y: 600 }), { x: 4000, y: 5000 });
  assert.deepEqual(panned(fitted(film, canvas), film, canvas, 50, 50), fitted(film, canvas));
});

test("a film that is seen whole is so on a larger canvas, and one that isn't stays where it was", () => {
  const large = { width: 1200, height: 800 };
  assert.deepEqual(resized(fitted(film, canvas), film, canvas, large), fitted(film, large));
  const near = zoomed(fitted(film, canvas), film, canvas, 4, { x: 200, y: 300 });
  const after = resized(near, film, canvas, large);
  assert.ok(!isFitted(after, film, large));
  assert.ok(Math.abs(after.scale - 4 * fitted(film, large).scale) < 1e-12);
  assert.deepEqual(after.center, near.center);
});
