// What the page and the engine say to each other.

/** A film as grey levels, as the model reads it: black 0, white 255, row after row from the top. */
export interface Film {
  pixels: Uint8Array;
  width: number;
  height: number;
  kind: "PNG" | "JPEG" | "DICOM" | "PGM";
  /** What a DICOM file stores, so that a viewer can show it through another window. */
  stored?: Stored;
}

/** The stored values of a DICOM film, and how they are shown. */
export interface Stored {
  /** Of each pixel, row after row: a place in `values`. */
  codes: Uint8Array | Uint16Array;
  width: number;
  height: number;
  /** What each code means after the modality's rescale or LUT; NaN for padding, which is black. */
  values: Float32Array;
  /** Black is the largest value: MONOCHROME1, or a presentation that is inverse. */
  isInverse: boolean;
  /** The file's own window, or else the values that it uses. */
  window: Window;
}

/** Values from `center - width / 2` to `center + width / 2` go from black to white. */
export interface Window {
  center: number;
  width: number;
}

/** How a report is searched for: docs/runtime.md, BeamSettings. */
export interface Settings {
  beamWidth: number;
  maxLength: number;
  minLength: number;
  lengthPenalty: number;
}

/** One result of the search. */
export interface Report {
  text: string;
  /** By which results are ranked; -Infinity never gets here. */
  score: number;
  /** False where `maxLength` cut it. */
  isFinished: boolean;
}

/** What a page has to know of the model that it opened. */
export interface ModelInfo {
  name: string;
  settings: Settings;
  disclaimer: string;
  /** Whether it reads what is known of the patient. */
  readsPatient: boolean;
  /** `network` may differ: WebGPU for the encoder, where the browser has it and the page was told so. */
  threads: number;
  encoder: "WASM" | "WebGPU";
  megabytes: number;
}

/** What the engine is asked for. Films are taken in the order in which they come. */
export type Request =
  | { type: "open"; model: string; encoder: "WASM" | "WebGPU" }
  | { type: "film"; id: number; file: Blob; settings: Settings; patient: string }
  /** The report of a film that was read, with other settings or another text. */
  | { type: "again"; id: number; settings: Settings; patient: string }
  /** Drops a film: it isn't read, or its report isn't made, if that can still be. */
  | { type: "forget"; id: number };

/** What the engine says. */
export type Answer =
  /** Bytes; `total` is 0 where the server doesn't tell, as of what it compresses. */
  | { type: "loading"; loaded: number; total: number }
  | { type: "ready"; model: ModelInfo }
  /** No model: nothing can be done but to load the page anew. */
  | { type: "broken"; message: string }
  | { type: "reading"; id: number }
  | { type: "read"; id: number; film: Film; milliseconds: number }
  | { type: "reported"; id: number; reports: Report[]; milliseconds: number; settings: Settings }
  /** This film has no report; the others go on. */
  | { type: "failed"; id: number; message: string };
