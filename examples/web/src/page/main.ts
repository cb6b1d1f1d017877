// Where the page begins. `?encoder=webgpu` in its address asks for the graphics processor.

import { Engine } from "../engine.js";
import { Page } from "./page.js";

const wanted = new URLSearchParams(location.search).get("encoder")?.toLowerCase();
new Page((onAnswer) => new Engine(onAnswer), wanted === "webgpu" ? "WebGPU" : "WASM");
