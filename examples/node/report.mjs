// The report of one film with onnxruntime-node alone: nothing of cxrscribe is needed here.
//
//     cxrscribe onefile BUNDLE --out report.onnx          # once
//     cxrscribe preprocess FILM --bundle BUNDLE --out film.pgm
//     npm install --ignore-scripts                         # once, in this folder
//
// node report.mjs report.onnx film.pgm
//
// A model that reads what is known of the patient writes its report without: onnxruntime-node can't give `patient`.

import { readFile } from "node:fs/promises";
import process from "node:process";

const GLUED = [".", ",", ";", ":", "、", "%", "°"];
const UNSPACED = /^[\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\u{20000}-\u{3ffff}]/u;
const METADATA_PROPS = 14; // number of that field in ONNX's ModelProto

/** Size and pixels of a binary PGM: the lines "P5", "width height" and "255", and then one byte a pixel. */
async function readPgm(path) {
  const file = await readFile(path);
  const header = /^P5\n(\d+) (\d+)\n255\n/.exec(file.toString("latin1", 0, 64));
  const pixels = new Uint8Array(file.subarray(header ? header[0].length : 0));
  if (!header || pixels.length !== header[1] * header[2]) {
    throw new Error(`${path} is not a PGM file that \`cxrscribe preprocess\` wrote`);
  }
  return { height: Number(header[2]), width: Number(header[1]), pixels };
}

/** The fields of a protobuf message that hold bytes: pairs of number and content. */
function* fields(message) {
  let place = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[place++];
      value += (byte % 128) * factor;
      if (!(byte >= 128)) return value;
    }
  };
  while (place < message.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === 0) varint();
    else if (kind === 2) {
      const length = varint();
      yield [Math.floor(tag / 8), message.subarray(place, place + length)];
      place += length;
    } else place += kind === 1 ? 8 : 4;
  }
}

/** The metadata of an ONNX file, which onnxruntime-node doesn't give: an object of strings. */
function metadataOf(file) {
  const entries = [];
  for (const [number, entry] of fields(file)) {
    if (number === METADATA_PROPS) entries.push([...fields(entry)].map(([, text]) => text.toString("utf8")));
  }
  return Object.fromEntries(entries);
}

/**
 * A paragraph: sentences start with a capital, punctuation joins the word before it. Chinese and Japanese have no blanks
 * between characters, and a comma and a full stop of their own.
 */
function readable(words) {
  let text = "";
  let before = "";
  for (let start = 0; start < words.length; ) {
    const stop = words.indexOf(".", start);
    const sentence = words.slice(start, stop < 0 ? words.length : stop + 1);
    const unspaced = sentence.some((word) => UNSPACED.test(word));
    sentence.forEach((word, place) => {
      if (GLUED.includes(word) && text) {
        text += unspaced ? ({ ".": "。", ",": "，" }[word] ?? word) : word;
        return;
      }
      const beside = UNSPACED.test(word) || (place && UNSPACED.test(before)) || text.endsWith("。");
      const [first = "", ...rest] = word;
      text += (beside || !text ? "" : " ") + (place ? word : first.toUpperCase() + rest.join(""));
      before = word;
    });
    start += sentence.length;
  }
  return text;
}

async function main([model, film, ...others]) {
  if (others.length) throw new Error("onnxruntime-node can't give patient, nor any setting: leave it out");
  if (!film) throw new Error("usage: node report.mjs report.onnx film.pgm");
  process.env.ORT_DISABLE_TELEMETRY ??= "1"; // read when onnxruntime is loaded
  const { InferenceSession, Tensor } = (await import("onnxruntime-node")).default;
  const file = await readFile(model);
  const { vocabulary, disclaimer } = metadataOf(file);
  if (!vocabulary) throw new Error(`${model} is not a file that \`cxrscribe onefile\` wrote`);
  const words = JSON.parse(vocabulary);
  const { height, width, pixels } = await readPgm(film);

  // onnxruntime-node always uses the settings that are the file's defaults: choose them with `cxrscribe onefile`.
  const session = await InferenceSession.create(file, { logSeverityLevel: 3 });
  const { tokens, lengths, scores, finished } = await session.run({
    image: new Tensor("uint8", pixels, [1, height, width]),
  });
  if (scores.data[0] === -Infinity) throw new Error(`the model found no report for ${film}`);
  // The best report of the only film stands first; int64 numbers come as BigInt.
  const best = Array.from(tokens.data.subarray(0, Number(lengths.data[0])), Number);
  console.log(readable(best.map((token) => words[token])));
  console.log(`score ${scores.data[0].toFixed(2)}, ${finished.data[0] ? "finished" : "cut off"}`);
  console.log(disclaimer);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`Error: ${error.message}`);
  process.exitCode = 1;
});
