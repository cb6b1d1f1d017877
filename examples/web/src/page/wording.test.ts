import assert from "node:assert/strict";
import { test } from "node:test";
import { copied, duration, films, megabytes, quality, settingsInWords, withName } from "./wording.js";

test("numbers are short", () => {
  assert.deepEqual([0, 3.24e6, 51e6].map(megabytes), ["0.0 MB", "3.2 MB", "51.0 MB"]);
  assert.deepEqual([3.4, 999, 1234, 12_345].map(duration), ["3 ms", "999 ms", "1.2 s", "12 s"]);
  assert.deepEqual([0, 1, 2].map(films), ["0 films", "1 film", "2 films"]);
});

test("a score says whether the report was cut", () => {
  assert.equal(quality({ text: "", score: -3.21449, isFinished: true }), "Score \u22123.214, finished");
  assert.equal(quality({ text: "", score: 0.5, isFinished: false }), "Score 0.500, cut at the maximum length");
});

test("settings are said in one line", () => {
  const settings = { beamWidth: 5, maxLength: 40, minLength: 3, lengthPenalty: -0.7 };
  assert.equal(settingsInWords(settings), "Beam width 5, length 3 to 40, length penalty \u22120.7");
});

test("no report is copied without its disclaimer", () => {
  assert.equal(copied({ text: "Clear.", score: 0, isFinished: true }, "Draft."), "Clear.\n\nDraft.\n");
  assert.equal(copied({ text: "", score: 0, isFinished: true }, "Draft."), "(no words)\n\nDraft.\n");
});

test("an error names its film, once", () => {
  assert.equal(withName("a.dcm", "has several frames"), "a.dcm has several frames");
  assert.equal(withName("a.dcm", "a.dcm has several frames"), "a.dcm has several frames");
  assert.equal(withName("a.dcm", "The reader ended"), "The reader ended");
});
