// What the engine, on the page's side, and its worker say to each other: one order at a time, and one outcome of
// each.

import type { Film, ModelInfo, Report, Settings } from "./types.js";

export type Encoder = ModelInfo["encoder"];

/** What films are read with and a model is opened from. They are blobs, for another worker when one has crashed. */
export interface ModelFiles {
  openjpeg: Blob;
  charls: Blob;
  /** `cxrscribe onefile` of the whole model, or with WebGPU of its encoder and its search. */
  graphs: readonly Blob[];
  /** The WebAssembly of onnxruntime-web for each of them. */
  runtimes: readonly Blob[];
}

export type Order =
  | { type: "open"; files: ModelFiles; threads: number }
  | { type: "read"; file: Blob }
  /** `picture`: of a film that was read. */
  | { type: "report"; picture: Uint8Array; settings: Settings; patient: string };

export type Outcome =
  | { type: "opened"; model: ModelInfo }
  | { type: "read"; film: Film; picture: Picture; milliseconds: number }
  | { type: "reported"; reports: Report[]; milliseconds: number }
  /** `isFatal`: nothing more can be asked of this worker. */
  | { type: "failed"; message: string; isFatal: boolean };

/** A film as the network sees it, or why it is none that can be reported. */
export type Picture = { pixels: Uint8Array } | { problem: string };
