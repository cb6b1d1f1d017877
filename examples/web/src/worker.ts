// The worker of the page: everything runs on the processor, in WebAssembly.

import * as runtime from "onnxruntime-web/wasm";

import { serve } from "./service.js";

serve("WASM", [{ runtime, provider: "wasm", script: "ort-wasm-simd-threaded.mjs" }]);
