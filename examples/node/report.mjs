// The report of one film with onnxruntime-node alone: nothing of cxrscribe, and no Python, is needed here.
//
//     cxrscribe onefile BUNDLE --input film --settings inputs --out report.onnx      # once, somewhere
//     npm run setup                                                                  # once, in this folder
//
// node report.mjs report.onnx FILM

import { readFile } from "node:fs/promises";
import process from "node:process";
import { parseArgs } from "node:util";

import { PatientText } from "../javascript/patient.mjs";
import { reportsOf } from "../javascript/reports.mjs";
import { readFilm } from "./film.mjs";
import { metadataOf, openOptimized } from "./onefile.mjs";

const USAGE = `usage: node report.mjs report.onnx FILM [OPTION VALUE]...
  FILM is PNG, JPEG, DICOM or an 8-bit PGM
  --beam-width K, --max-length N, --min-length N, --length-penalty A   settings; else the file's own
  --n-best N          print up to N reports, best first
  --indication TEXT   what is known of the patient, for models that read it
  --patient FILE      the same as a JSON array of the numbers that the model makes of a text
  --optimized FOLDER  open the model as it was optimized for this machine, which is kept in FOLDER`;
const SETTINGS = ["beam_width", "max_length", "min_length", "length_penalty"];
const METADATA = ["vocabulary", "settings", "preprocessing", "disclaimer"];
const OPTIONS = ["n-best", "indication", "patient", "optimized", ...SETTINGS.map((name) => name.replace("_", "-"))];

async function main() {
  const { model, film, given } = command();
  process.env.ORT_DISABLE_TELEMETRY ??= "1"; // read when onnxruntime is loaded
  const { InferenceSession, Tensor } = (await import("onnxruntime-node")).default;
  const metadata = metadataOf(model);
  const options = { logSeverityLevel: 3 };
  const session = given.optimized
    ? await openOptimized(InferenceSession, model, given.optimized, options)
    : await InferenceSession.create(model, options);
  const inputs = new Set(session.inputNames);
  // A part takes features, or gives them in place of words.
  const isPart = !(inputs.has("film") || inputs.has("image")) || !session.outputNames.includes("tokens");
  if (isPart || METADATA.some((key) => metadata[key] === undefined)) {
    throw new Error(`${model} is not a whole file of \`cxrscribe onefile\`; make it with --part whole`);
  }
  const words = JSON.parse(metadata.vocabulary);
  const settings = JSON.parse(metadata.settings);
  const { pixels, width, height } = await readFilm(film, JSON.parse(metadata.preprocessing));
  // `film` of any size, or `image`, which has to be as the network sees it, and of which there may be many.
  const feeds = inputs.has("film")
    ? { film: new Tensor("uint8", pixels, [height, width]) }
    : { image: new Tensor("uint8", pixels, [1, height, width]) };
  for (const name of SETTINGS) {
    const asked = given[name.replace("_", "-")];
    if (!inputs.has(name)) {
      // onnxruntime-node ignores what is given for an input that has a default.
      if (asked !== undefined) throw new Error(`${model} has fixed settings; make one with --settings inputs`);
      continue;
    }
    const value = asked === undefined ? settings[name] : Number(asked);
    const isWhole = name !== "length_penalty";
    if (asked === "" || !Number.isFinite(value) || (isWhole && !Number.isSafeInteger(value))) {
      throw new Error(`${name} is ${asked}; give a ${isWhole ? "whole number" : "number"}`);
    }
    feeds[name] = isWhole ? new Tensor("int64", [BigInt(value)], []) : new Tensor("float32", [value], []);
  }
  if (inputs.has("patient")) feeds.patient = await patient(given, metadata, Tensor);
  else if (given.indication || given.patient)
    throw new Error(`${model} reads nothing of a patient, or has no input for it`);

  const reports = reportsOf(await session.run(feeds), words, model);
  if (reports.length === 0) throw new Error(`the model found no report for ${film}`);
  for (const { text, score, isFinished } of reports.slice(0, given["n-best"] ?? 1)) {
    console.log(text);
    console.log(`score ${score.toFixed(2)}, ${isFinished ? "finished" : "cut off"}`);
  }
  console.log(metadata.disclaimer);
}

function command() {
  let parsed;
  try {
    const options = Object.fromEntries(OPTIONS.map((name) => [name, { type: "string" }]));
    parsed = parseArgs({ options, allowPositionals: true });
  } catch (error) {
    throw new Error(`${error.message}\n${USAGE}`, { cause: error });
  }
  const { positionals, values } = parsed;
  if (positionals.length !== 2) throw new Error(USAGE);
  const count = values["n-best"] ?? "1";
  if (!/^[0-9]*[1-9][0-9]*$/.test(count)) throw new Error(`n-best is ${count}; give a whole number from 1`);
  return { model: positionals[0], film: positionals[1], given: values };
}

/** float32 [1, P] of a text, or of a file of numbers as `Reporter.encode_indications` makes them; zeros: nothing is known. */
async function patient({ indication = "", patient: path }, metadata, Tensor) {
  const text = new PatientText(metadata.patient_text);
  if (path === undefined) return new Tensor("float32", text.encode(indication), [1, text.size]);
  if (indication) throw new Error("--indication and --patient say the same; give one of them");
  let numbers;
  try {
    numbers = [JSON.parse(await readFile(path, "utf8"))].flat(2);
  } catch (error) {
    throw new Error(`${path} can't be read as JSON: ${error.message}`, { cause: error });
  }
  if (!numbers.every((number) => Number.isFinite(Math.fround(number)) && typeof number === "number")) {
    throw new Error(`${path} has something in it that is no number`);
  }
  if (numbers.length !== text.size)
    throw new Error(`${path} has ${numbers.length} numbers; the model takes ${text.size}`);
  return new Tensor("float32", numbers, [1, text.size]);
}

main().catch((error) => {
  console.error(`Error: ${error.message}`);
  process.exitCode = 1;
});
