// A model that `cxrscribe onefile` made, run by onnxruntime-web: from a film as the network sees it to reports.

import type { InferenceSession, Tensor } from "onnxruntime-web";

import { readMetadata } from "../../javascript/metadata.mjs";
import { PatientText } from "../../javascript/patient.mjs";
import { reportsOf } from "../../javascript/reports.mjs";
import type { ModelInfo, Report, Settings } from "./types.js";

export type Runtime = typeof import("onnxruntime-web");

/** Who runs a graph. */
export interface Runner {
  runtime: Runtime;
  /** An execution provider: "wasm" or "webgpu". */
  provider: string;
}

/** Type, data and dimensions of a tensor. */
type Value = [
  "uint8" | "int64" | "float32",
  Uint8Array | Float32Array | readonly number[] | readonly bigint[],
  number[],
];

interface Variant {
  part: "whole" | "encoder" | "search";
  input: "image" | "film";
  settings: "defaults" | "inputs";
}

interface Preprocessing {
  height: number;
  width: number;
  display?: number;
  png_range?: "used" | "full";
}

const REMEDIES = {
  whole: "make it with `cxrscribe onefile BUNDLE --input film --settings inputs`",
  encoder: "make it with `cxrscribe onefile BUNDLE --part encoder`",
  search: "make it with `cxrscribe onefile BUNDLE --part search --settings inputs`",
} as const;
/** As the file's metadata and inputs name them. */
const NAMES = {
  beamWidth: "beam_width",
  maxLength: "max_length",
  minLength: "min_length",
  lengthPenalty: "length_penalty",
} as const;

export class Model {
  /** Of the whole model, or of its encoder and its search. */
  readonly #sessions: readonly InferenceSession[];
  readonly #runners: readonly Runner[];
  readonly #words: string[];
  readonly #patientText: PatientText | undefined;
  readonly preprocessing: Preprocessing;
  readonly info: ModelInfo;

  private constructor(
    runners: readonly Runner[],
    sessions: readonly InferenceSession[],
    metadata: Record<string, string>,
    rest: Pick<ModelInfo, "threads" | "encoder" | "megabytes">,
  ) {
    this.#runners = runners;
    this.#sessions = sessions;
    this.#words = parsed(metadata, "vocabulary");
    this.preprocessing = parsed(metadata, "preprocessing");
    const readsPatient = sessions.some((session) => session.inputNames.includes("patient"));
    if (readsPatient) this.#patientText = new PatientText(metadata["patient_text"] ?? "");
    const settings = parsed<Record<string, number>>(metadata, "settings");
    const chosen = Object.entries(NAMES).map(([name, key]) => [name, settings[key]]);
    this.info = {
      name: nameOf(metadata),
      settings: Object.fromEntries(chosen),
      disclaimer: metadata["disclaimer"] ?? "",
      readsPatient,
      ...rest,
    };
  }

  /** `graphs`: the whole model, or its encoder and its search; `runners`: one for each. */
  static async open(
    graphs: readonly Blob[],
    runners: readonly Runner[],
    rest: Pick<ModelInfo, "threads" | "encoder">,
  ): Promise<Model> {
    const parts: Variant["part"][] = graphs.length === 1 ? ["whole"] : ["encoder", "search"];
    const sessions: InferenceSession[] = [];
    const metadata: Record<string, string>[] = [];
    for (const [place, { runtime, provider }] of runners.entries()) {
      const bytes = new Uint8Array(await (graphs[place] as Blob).arrayBuffer());
      metadata.push(checked(bytes, parts[place] ?? "whole"));
      const options = { executionProviders: [provider], logSeverityLevel: 3 } as const;
      sessions.push(await runtime.InferenceSession.create(bytes, options));
    }
    if (new Set(metadata.map(bundleOf)).size !== 1)
      throw new Error("encoder.onnx and search.onnx are of different bundles; make both anew");
    const megabytes = graphs.reduce((sum, { size }) => sum + size, 0) / 1e6;
    return new Model(runners, sessions, metadata.at(-1) as Record<string, string>, { ...rest, megabytes });
  }

  /** Best first; none where the settings allow none. `picture`: uint8 [height, width] of the preprocessing. */
  async report(picture: Uint8Array, settings: Settings, patient: string): Promise<Report[]> {
    const { height, width } = this.preprocessing;
    const values: Record<string, Value> = {
      film: ["uint8", picture, [height, width]],
      image: ["uint8", picture, [1, height, width]],
      length_penalty: ["float32", [settings.lengthPenalty], []],
    };
    for (const name of ["beamWidth", "maxLength", "minLength"] as const) {
      if (!Number.isSafeInteger(settings[name]))
        throw new Error(`${NAMES[name]} is ${settings[name]}; give a whole number`);
      values[NAMES[name]] = ["int64", [BigInt(settings[name])], []];
    }
    if (!Number.isFinite(settings.lengthPenalty))
      throw new Error(`length_penalty is ${settings.lengthPenalty}; give a number`);
    const text = this.#patientText;
    if (text) values["patient"] = ["float32", text.encode(patient), [1, text.size]];
    let found: Record<string, Tensor> = {};
    for (const [place, session] of this.#sessions.entries()) {
      const { Tensor } = (this.#runners[place] as Runner).runtime;
      const feeds = session.inputNames.map((name) => [name, new Tensor(...(values[name] as Value))]);
      found = await session.run(Object.fromEntries(feeds));
      // A tensor belongs to the runtime that made it.
      for (const [name, { type, data, dims }] of Object.entries(found)) values[name] = [type, data, dims] as Value;
    }
    return reportsOf(found as Parameters<typeof reportsOf>[0], this.#words, "the model");
  }
}

/** The metadata of a file, which has to be as the page wants it. */
function checked(file: Uint8Array, part: Variant["part"]): Record<string, string> {
  const metadata = readMetadata(file.length, (place, length) => file.subarray(place, place + length));
  const isWhole = ["vocabulary", "settings", "preprocessing", "disclaimer", "variant"].every((key) => key in metadata);
  const name = part === "whole" ? "model.onnx" : `${part}.onnx`;
  const remedy = REMEDIES[part];
  if (!isWhole) throw new Error(`${name} is not a file of \`cxrscribe onefile\`; ${remedy}`);
  if (metadata["schema_version"] !== "1")
    throw new Error(`${name} is of another version of cxrscribe than the page; ${remedy}`);
  const variant = parsed<Variant>(metadata, "variant");
  if (variant.part !== part) throw new Error(`${name} is ${variant.part}, not ${part}; ${remedy}`);
  // The page fits films, and onnxruntime-web can't put what fits them on a graphics processor.
  if (variant.input !== "image" && part === "encoder") throw new Error(`${name} reads films of any size; ${remedy}`);
  if (variant.settings !== "inputs" && part !== "encoder") throw new Error(`${name} has fixed settings; ${remedy}`);
  return metadata;
}

function parsed<T>(metadata: Record<string, string>, key: string): T {
  try {
    return JSON.parse(metadata[key] ?? "") as T;
  } catch (error) {
    throw new Error(`the ${key} of the model is damaged: make the file anew`, { cause: error });
  }
}

/** What tells a model from others: its network, its precision, and the beginning of its bundle's checksum. */
function nameOf(metadata: Record<string, string>): string {
  const { backbone } = parsed<{ backbone: string }>(metadata, "architecture");
  return [backbone, metadata["precision"], bundleOf(metadata).slice(0, 12)].filter(Boolean).join(" ");
}

/** The checksum of the bundle's manifest. */
function bundleOf(metadata: Record<string, string>): string {
  return parsed<Record<string, string>>(metadata, "bundle_sha256")["manifest.json"] ?? "";
}
