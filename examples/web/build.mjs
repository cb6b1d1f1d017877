// Writes the page into a folder as static files: everything but model.onnx, which `cxrscribe onefile` makes.
//
//     node build.mjs FOLDER [--webgpu]      # and what runs an encoder on a graphics processor

import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";

import { build } from "esbuild";
import { writeLicences } from "./licences.mjs";

const HERE = import.meta.dirname;
const AS_THEY_ARE = ["index.html", "style.css", "icon.svg"];
/** What the worker gets from its own origin when it starts, of packages. */
const OF_PACKAGES = [
  "onnxruntime-web/ort-wasm-simd-threaded.mjs",
  "onnxruntime-web/ort-wasm-simd-threaded.wasm",
  "@cornerstonejs/codec-openjpeg/decodewasm",
  "@cornerstonejs/codec-charls/decodewasm",
];
const FOR_WEBGPU = [
  "onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs",
  "onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm",
];
/** They are made by another program, and take longer. */
const MODELS = ["model.onnx", "encoder.onnx", "search.onnx"];

const { positionals, values } = parseArgs({ options: { webgpu: { type: "boolean" } }, allowPositionals: true });
if (positionals.length !== 1) {
  console.error("usage: node build.mjs FOLDER [--webgpu]");
  process.exit(2);
}
const folder = resolve(positionals[0]);
clear(folder);
for (const name of AS_THEY_ARE) copyFileSync(join(HERE, name), join(folder, name));
const { resolve: fileOf } = createRequire(import.meta.url);
const copied = [...OF_PACKAGES, ...(values.webgpu ? FOR_WEBGPU : [])].map((name) => fileOf(name));
for (const file of copied) copyFileSync(file, join(folder, basename(file)));
const { metafile } = await build({
  absWorkingDir: HERE,
  entryPoints: {
    page: "src/page/main.ts",
    worker: "src/worker.ts",
    ...(values.webgpu ? { "worker-webgpu": "src/worker-webgpu.ts" } : {}),
  },
  outdir: folder,
  bundle: true,
  format: "esm",
  target: "es2022",
  // Or onnxruntime-web would hold its own script a second time.
  conditions: ["onnxruntime-web-use-extern-wasm"],
  // Codecs look for Node's modules where they find themselves in Node.
  external: ["fs", "path"],
  minify: true,
  legalComments: "none", // licences.txt has them
  metafile: true,
  logLevel: "warning",
});
writeLicences(join(folder, "licences.txt"), HERE, [...Object.keys(metafile.inputs), ...copied]);

/** Makes the folder, and takes away what an earlier build left in it. Anything else isn't ours: then it stops. */
function clear(folder) {
  mkdirSync(folder, { recursive: true });
  const names = readdirSync(folder);
  const isOurs = names.every((name) => MODELS.includes(name)) || names.includes("licences.txt");
  if (!isOurs || !names.every((name) => statSync(join(folder, name)).isFile())) {
    console.error(`${folder} has other files than a page's; give a new folder`);
    process.exit(2);
  }
  for (const name of names) if (!MODELS.includes(name)) rmSync(join(folder, name));
}
