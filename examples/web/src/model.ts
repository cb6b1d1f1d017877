// A model that `cxrscribe onefile` made, run by onnxruntime-web: from a film as the network sees it to reports.

import type { InferenceSession, Tensor } from "onnxruntime-web";

import { readMetadata } from "../../javascript/metadata.mjs";
import { PatientText } from "../../javascript/patient.mjs";
import { reportsOf } from "../../javascript/reports.mjs";
import type { ModelInfo, Report, Settings } from "./types.js";

export type Runtime = typeof import("onnxruntime-web");

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

const REMEDY = "make it with `cxrscribe onefile BUNDLE --input film --settings inputs";
/** As the file's metadata and inputs name them. */
const NAMES = {
  beamWidth: "beam_width",
  maxLength: "max_length",
  minLength: "min_length",
  lengthPenalty: "length_penalty",
} as const;

export class Model {
  /** One graph, or encoder and search. */
  readonly #sessions: readonly InferenceSession[];
  readonly #runtime: Runtime;
  readonly #words: string[];
  readonly #patientText: PatientText | undefined;
  readonly preprocessing: Preprocessing;
  readonly info: ModelInfo;

  private constructor(
    runtime: Runtime,
    sessions: readonly InferenceSession[],
    metadata: Record<string, string>,
    rest: Pick<ModelInfo, "threads" | "encoder" | "megabytes">,
  ) {
    this.#runtime = runtime;
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

  /** `graphs`: the whole model, run by `providers[0]`, or its encoder and its search with a provider for each. */
  static async open(
    runtime: Runtime,
    graphs: readonly Blob[],
    providers: readonly string[],
    rest: Pick<ModelInfo, "threads" | "encoder">,
  ): Promise<Model> {
    const parts: Variant["part"][] = graphs.length === 1 ? ["whole"] : ["encoder", "search"];
    const sessions: InferenceSession[] = [];
    const metadata: Record<string, string>[] = [];
    for (const [place, graph] of graphs.entries()) {
      const bytes = new Uint8Array(await graph.arrayBuffer());
      metadata.push(checked(bytes, parts[place] ?? "whole"));
      sessions.push(
        await runtime.InferenceSession.create(bytes, {
          executionProviders: [providers[place] ?? "wasm"],
          logSeverityLevel: 3,
        }),
      );
    }
    const bundles = new Set(metadata.map((each) => each["bundle_sha256"]));
    if (bundles.size !== 1) throw new Error("encoder.onnx and search.onnx are of different bundles; make both anew");
    const megabytes = graphs.reduce((sum, { size }) => sum + size, 0) / 1e6;
    return new Model(runtime, sessions, metadata.at(-1) as Record<string, string>, { ...rest, megabytes });
  }

  /** Best first; none where the settings allow none. `picture`: uint8 [height, width] of the preprocessing. */
  async report(picture: Uint8Array, settings: Settings, patient: string): Promise<Report[]> {
    const { Tensor } = this.#runtime;
    const { height, width } = this.preprocessing;
    const feeds: Record<string, Tensor> = {
      film: new Tensor("uint8", picture, [height, width]),
      image: new Tensor("uint8", picture, [1, height, width]),
      length_penalty: new Tensor("float32", [settings.lengthPenalty], []),
    };
    for (const name of ["beamWidth", "maxLength", "minLength"] as const) {
      if (!Number.isSafeInteger(settings[name])) throw new Error(`${NAMES[name]} is ${settings[name]}; give a whole number`);
      feeds[NAMES[name]] = new Tensor("int64", [BigInt(settings[name])], []);
    }
    if (!Number.isFinite(settings.lengthPenalty)) throw new Error(`length_penalty is ${settings.lengthPenalty}; give a number`);
    const text = this.#patientText;
    if (text) feeds["patient"] = new Tensor("float32", text.encode(patient), [1, text.size]);
    let found: Record<string, Tensor> = {};
    for (const session of this.#sessions) {
      const given = session.inputNames.map((name) => [name, found[name] ?? feeds[name]]);
      found = await session.run(Object.fromEntries(given));
    }
    return reportsOf(found as Parameters<typeof reportsOf>[0], this.#words, "the model");
  }
}

/** The metadata of a file, which has to be as the page wants it. */
function checked(file: Uint8Array, part: Variant["part"]): Record<string, string> {
  const metadata = readMetadata(file.length, (place, length) => file.subarray(place, place + length));
  const isWhole = ["vocabulary", "settings", "preprocessing", "disclaimer", "variant"].every((key) => key in metadata);
  const name = part === "whole" ? "model.onnx" : `${part}.onnx`;
  const remedy = part === "whole" ? `${REMEDY}\`` : `${REMEDY} --part ${part}\``;
  if (!isWhole) throw new Error(`${name} is not a file of \`cxrscribe onefile\`; ${remedy}`);
  if (metadata["schema_version"] !== "1") throw new Error(`${name} is of another version of cxrscribe than the page; ${remedy}`);
  const variant = parsed<Variant>(metadata, "variant");
  if (variant.part !== part) throw new Error(`${name} is ${variant.part}, not ${part}; ${remedy}`);
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
  const checksum = parsed<Record<string, string>>(metadata, "bundle_sha256")["manifest.json"] ?? "";
  return [backbone, metadata["precision"], checksum.slice(0, 12)].filter(Boolean).join(" ");
}
