import assert from "node:assert/strict";
import { test } from "node:test";
import { faults, isSame } from "./settings.js";

const own = { beamWidth: 3, maxLength: 60, minLength: 0, lengthPenalty: 0, nBest: 1 };

test("what a model has itself is right", () => {
  assert.deepEqual(faults(own), {});
  assert.deepEqual(faults({ ...own, lengthPenalty: -0.7, nBest: 3 }), {});
});

test("each field says what is wrong with it", () => {
  for (const [name, value] of [
    ["beamWidth", 0],
    ["beamWidth", 1025],
    ["beamWidth", 2.5],
    ["maxLength", Number.NaN],
    ["maxLength", 4097],
    ["minLength", -1],
    ["lengthPenalty", 10.1],
    ["lengthPenalty", Number.POSITIVE_INFINITY],
    ["nBest", 0],
  ] as const) {
    const found = faults({ ...own, [name]: value });
    assert.deepEqual(Object.keys(found), [name], `${name} ${value}`);
  }
});

test("more results than the search keeps can't be shown", () => {
  assert.match(faults({ ...own, nBest: 4 }).nBest ?? "", /beam width 3 finds no more than 3/);
});

test("a report has to be able to end", () => {
  assert.deepEqual(Object.keys(faults({ ...own, minLength: 60 })), ["minLength"]);
});

test("settings are the same when all four are", () => {
  assert.ok(isSame(own, { ...own }));
  for (const name of ["beamWidth", "maxLength", "minLength", "lengthPenalty"] as const) {
    assert.ok(!isSame(own, { ...own, [name]: 7 }));
  }
});
