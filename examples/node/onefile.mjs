// What onnxruntime-node doesn't do by itself: a file's metadata, and opening a model as it was optimized for this machine.

import { closeSync, existsSync, mkdirSync, openSync, readSync, renameSync, rmSync, statSync } from "node:fs";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { join } from "node:path";
import process from "node:process";

const METADATA_PROPS = 14; // number of that field in ONNX's ModelProto
const [VARINT, EIGHT_BYTES, BYTES] = [0, 1, 2]; // protobuf's wire types; the others have four bytes

/** The metadata of an ONNX file: an object of strings. What else it holds isn't read. */
export function metadataOf(path) {
  const file = openSync(path, "r");
  try {
    const { size } = statSync(path);
    const read = (place, length) => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(file, bytes, 0, length, place));
    };
    const entries = fields(size, read).filter(([number]) => number === METADATA_PROPS);
    return Object.fromEntries(
      entries.map(([, place, length]) => {
        const entry = read(place, length);
        return fields(length, (at, count) => entry.subarray(at, at + count)).map(([, at, count]) =>
          entry.toString("utf8", at, at + count),
        );
      }),
    );
  } finally {
    closeSync(file);
  }
}

/** Number, place and length of each field of a protobuf message that holds bytes. `read` gives bytes of the message. */
function fields(size, read) {
  const found = [];
  for (let place = 0; place < size; ) {
    const head = read(place, 20);
    let at = 0;
    const varint = () => {
      let value = 0;
      for (let factor = 1; at < head.length; factor *= 128) {
        const byte = head[at++];
        value += (byte % 128) * factor;
        if (byte < 128) return value;
      }
      return Infinity; // it is no such message
    };
    const tag = varint();
    const kind = tag % 8;
    const value = kind === VARINT || kind === BYTES ? varint() : 0;
    if (kind === BYTES) found.push([Math.floor(tag / 8), place + at, value]);
    place += at + (kind === BYTES ? value : kind === VARINT ? 0 : kind === EIGHT_BYTES ? 8 : 4);
  }
  return found;
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
