import assert from "node:assert/strict";
import { test } from "node:test";
import type { ModelInfo } from "../types.js";
import { row, toJson } from "./rows.js";

const settings = { beamWidth: 3, maxLength: 60, minLength: 2, lengthPenalty: 0.5 };
const model: ModelInfo = {
  name: "demo",
  settings,
  disclaimer: "Draft.",
  readsPatient: false,
  threads: 2,
  encoder: "WASM",
  megabytes: 3.2,
};
const report = (text: string, score: number, isFinished = true) => ({ text, score, isFinished });
const result = {
  name: "a.png",
  reports: [report("One.", -1), report("Two.", -2, false), report("Three.", -3)],
  settings,
  hasPatient: true,
  readMilliseconds: 12.5,
  reportMilliseconds: 80,
};

test("a report is as in cxrscribe's own JSON, with settings, model and disclaimer", () => {
  assert.deepEqual(row(result, 2, model), {
    film: "a.png",
    error: null,
    text: "One.",
    score: -1,
    finished: true,
    alternatives: [{ text: "Two.", score: -2, finished: false }],
    settings: { beam_width: 3, max_length: 60, min_length: 2, length_penalty: 0.5, n_best: 2 },
    milliseconds: { read: 12.5, report: 80 },
    model: { name: "demo", encoder: "WASM", threads: 2 },
    disclaimer: "Draft.",
  });
});

test("a film without a report has nulls and says why", () => {
  const failed = row({ name: "b", error: "b is empty", reports: [], settings, hasPatient: false }, 1, model);
  assert.equal(failed.error, "b is empty");
  for (const name of ["text", "score", "finished", "alternatives"]) assert.equal(failed[name], null);
  assert.equal(failed.disclaimer, "Draft.");
});

test("that something was said of a patient is told, but not what", () => {
  const reading = { ...model, readsPatient: true };
  const told = row(result, 1, reading);
  assert.deepEqual([told.indication, told.indication_from], [true, "given"]);
  const untold = row({ ...result, hasPatient: false }, 1, reading);
  assert.deepEqual([untold.indication, untold.indication_from], [false, null]);
  assert.ok(!("indication" in row(result, 1, model)));
});

test("all films are one array", () => {
  const parsed = JSON.parse(toJson([result, { ...result, name: '\u00fc"\n' }], 1, model));
  assert.deepEqual(
    parsed.map(({ film, alternatives }: { film: string; alternatives: unknown[] }) => [film, alternatives]),
    [
      ["a.png", []],
      ['\u00fc"\n', []],
    ],
  );
});
