// The worker of the page where the encoder runs on the graphics processor. It is loaded only where that is asked for.
// The search is for the runtime without WebGPU: the other one has no Cast of some types on the processor.

import * as graphics from "onnxruntime-web/jspi";
import * as runtime from "onnxruntime-web/wasm";

import { serve } from "./service.js";

serve("WebGPU", [
  { runtime: graphics, provider: "webgpu", script: "ort-wasm-simd-threaded.jspi.mjs" },
  { runtime, provider: "wasm", script: "ort-wasm-simd-threaded.mjs" },
]);
