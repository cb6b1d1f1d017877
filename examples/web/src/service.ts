// What a worker does: it reads films, and writes reports of what the network sees of them.

// @ts-expect-error the package has no types
import makeCharls from "@cornerstonejs/codec-charls/decodewasmjs";
// @ts-expect-error the package has no types
import makeOpenjpeg from "@cornerstonejs/codec-openjpeg/decodewasmjs";

import { makeCodecs } from "../../javascript/codecs.mjs";
import { readFilm } from "../../javascript/film.mjs";
import { fitFilm } from "../../javascript/fit.mjs";
import { Model, type Runner } from "./model.js";
import type { Encoder, ModelFiles, Order, Outcome, Picture } from "./protocol.js";
import type { Film } from "./types.js";

interface Opened {
  model: Model;
  codecs: ReturnType<typeof makeCodecs>;
}

/** A runner, and its runtime's script beside the worker. */
export interface ScriptedRunner extends Runner {
  script: string;
}

/** Answers the orders of the page. `runners`: one for each graph of the model. */
export function serve(encoder: Encoder, runners: readonly ScriptedRunner[]): void {
  // Loaded now, scripts cost no request when the model is opened, which a worker in reserve may do later on.
  for (const { script } of runners) import(addressOf(script).href).catch(() => undefined);
  let opened: Opened | undefined;
  self.addEventListener("message", ({ data: order }: MessageEvent<Order>) => {
    const answered = order.type === "open" ? open(encoder, runners, order) : answer(order, opened as Opened);
    answered.then(
      (outcome) => {
        if ("codecs" in outcome) {
          opened = outcome;
          post({ type: "opened", model: outcome.model.info });
        } else post(outcome);
      },
      (error: unknown) => post({ type: "failed", ...blame(error) }),
    );
  });
}

async function open(
  encoder: Encoder,
  runners: readonly ScriptedRunner[],
  { files, threads }: { files: ModelFiles; threads: number },
): Promise<Opened> {
  for (const [place, { runtime, script, provider }] of runners.entries()) {
    const { wasm } = runtime.env;
    wasm.wasmPaths = { mjs: addressOf(script) };
    wasm.wasmBinary = await (files.runtimes[place] as Blob).arrayBuffer();
    wasm.numThreads = provider === "wasm" ? threads : 1;
  }
  const [openjpeg, charls] = await Promise.all([compiled(files.openjpeg), compiled(files.charls)]);
  const model = await Model.open(files.graphs, runners, { threads, encoder });
  for (const { runtime } of runners) delete runtime.env.wasm.wasmBinary; // it is compiled
  const codecs = makeCodecs({
    openjpeg: { factory: makeOpenjpeg, compiled: openjpeg },
    charls: { factory: makeCharls, compiled: charls },
  });
  return { model, codecs };
}

function addressOf(script: string): URL {
  return new URL(script, self.location.href);
}

async function compiled(wasm: Blob): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await wasm.arrayBuffer());
}

async function answer(order: Exclude<Order, { type: "open" }>, { model, codecs }: Opened): Promise<Outcome> {
  const begin = performance.now();
  if (order.type === "read") {
    const bytes = new Uint8Array(await order.file.arrayBuffer());
    const film = await readFilm(bytes, model.preprocessing, { codecs, keepsStored: true });
    const picture = fitted(film, model);
    return { type: "read", film, picture, milliseconds: performance.now() - begin };
  }
  const reports = await model.report(order.picture, order.settings, order.patient);
  if (reports.length === 0) throw new Error("the model found no report with these settings");
  return { type: "reported", reports, milliseconds: performance.now() - begin };
}

function fitted(film: Film, model: Model): Picture {
  try {
    return { pixels: fitFilm(film, model.preprocessing).pixels };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

/** Large pictures change hands, and aren't copied. */
function post(outcome: Outcome): void {
  const film = outcome.type === "read" ? outcome.film : undefined;
  const large = [film?.pixels, film?.stored?.codes].filter((array) => array !== undefined);
  const buffers = new Set(large.map(({ buffer }) => buffer as ArrayBuffer));
  self.postMessage(outcome, { transfer: [...buffers] });
}

/** What is said of an error, and whether WebAssembly can't go on after it. */
function blame(error: unknown): { message: string; isFatal: boolean } {
  const message = messageOf(error);
  // What C++ throws may arrive as a number; an abort or a trap leaves the memory as it was in between.
  const isFatal = !(error instanceof Error) || error instanceof WebAssembly.RuntimeError || /^Aborted/.test(message);
  if (/bad_alloc|allocat|out of memory/i.test(message)) {
    return { message: "needs more memory than the browser gives; take a smaller beam width or length", isFatal };
  }
  return { message: isFatal ? `brought down what writes reports (${message})` : message, isFatal };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
