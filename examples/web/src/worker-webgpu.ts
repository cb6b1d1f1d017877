// The worker of the page where the encoder runs on the graphics processor. It is loaded only where that is asked for.

import * as runtime from "onnxruntime-web/jspi";

import { serve } from "./service.js";

serve(runtime, "ort-wasm-simd-threaded.jspi.mjs", "WebGPU");
