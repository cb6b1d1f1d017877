// What onnxruntime-node doesn't do by itself: a file's metadata, and opening a model as it was optimized for this machine.

import { createHash } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readSync, renameSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { join } from "node:path";
import process from "node:process";

import { readMetadata } from "../javascript/metadata.mjs";

/** The metadata of an ONNX file: an object of strings. What else it holds isn't read. */
export function metadataOf(path) {
  const file = openSync(path, "r");
  try {
    const { size } = statSync(path);
    const read = (place, length) => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(file, bytes, 0, length, place));
    };
    return readMetadata(size, read);
  } finally {
    closeSync(file);
  }
}

/**
 * A session on the model, as ONNX Runtime optimized it for this machine. That graph is written into `folder` when it
 * isn't there yet, or can't be opened. It is right for this file, this processor and this release of ONNX Runtime alone,
 * of which its name is made. Its weights stay inside: with weights in a file of their own, onnxruntime-node 1.30.0 writes those of a loop
 * twice, and then can't open the graph.
 */
export async function openOptimized(InferenceSession, model, folder, options) {
  const { size, mtimeNs } = statSync(model, { bigint: true });
  const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json");
  const kind = JSON.stringify([`${size}`, `${mtimeNs}`, version, process.arch, cpus()[0]?.model]);
  const name = createHash("sha256").update(kind).digest("hex").slice(0, 16);
  const graph = join(folder, `${name}.onnx`);
  const open = () => InferenceSession.create(graph, { ...options, graphOptimizationLevel: "disabled" });
  if (existsSync(graph)) {
    try {
      return await open();
    } catch {
      // It is damaged, and written anew.
    }
  }
  mkdirSync(folder, { recursive: true });
  const unfinished = join(folder, `${name}.${process.pid}.part`);
  try {
    const session = await InferenceSession.create(model, {
      ...options,
      optimizedModelFilePath: unfinished,
      // It runs nothing: to rearrange its weights would only take time and memory.
      extra: { session: { disable_prepacking: "1" } },
    });
    await session.release();
    renameSync(unfinished, graph);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
  return open();
}
