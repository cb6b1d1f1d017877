// What a built page weighs, file by file, as it is and as a host that compresses sends it.
//
//     node sizes.mjs FOLDER

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

/** As good as Brotli gets in seconds: its best takes a minute for 50 MB, and saves a few hundredths. */
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };

const [folder] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node sizes.mjs FOLDER");
  process.exit(2);
}
const rows = readdirSync(folder).map((name) => {
  const bytes = readFileSync(join(folder, name));
  return [name, bytes.length, gzipSync(bytes, { level: 9 }).length, brotliCompressSync(bytes, BROTLI).length];
});
rows.sort((one, other) => other[1] - one[1]);
// Browsers ask for the others when WebGPU is wanted, or never.
const sent = rows.filter(([name]) => !/webgpu|jspi|^encoder|^search|^licences/.test(name));
const sum = (column) => sent.reduce((total, row) => total + row[column], 0);
console.log(line("bytes", "file", "gzip", "brotli"));
for (const [name, ...sizes] of rows) console.log(line(sizes[0], name, sizes[1], sizes[2]));
console.log(line(sum(1), "to load", sum(2), sum(3)));

function line(bytes, name, gzip, brotli) {
  return `${name.padEnd(32)}${[bytes, gzip, brotli].map((one) => one.toLocaleString("en").padStart(13)).join("")}`;
}
