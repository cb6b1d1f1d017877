import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Engine } from "./engine.js";
import type { Order, Outcome } from "./protocol.js";
import type { Answer, Film, ModelInfo, Settings } from "./types.js";

const SETTINGS: Settings = { beamWidth: 3, maxLength: 60, minLength: 0, lengthPenalty: 0 };
const FILM: Film = { pixels: new Uint8Array(4), width: 2, height: 2, kind: "PNG" };
const INFO: ModelInfo = {
  name: "a model",
  settings: SETTINGS,
  disclaimer: "A draft.",
  readsPatient: true,
  threads: 1,
  encoder: "WASM",
  megabytes: 1,
};

type Reaction = Outcome | "crash" | "silence";

/** What workers do with an order; `react` may be put in its place. */
async function react(order: Order): Promise<Reaction> {
  if (order.type === "load") return { type: "loaded" };
  if (order.type === "open") return { type: "opened", model: { ...INFO, threads: order.threads } };
  if (order.type === "read") {
    const name = await order.file.text();
    if (name === "bad") return { type: "failed", message: "is damaged or cut off", isFatal: false };
    if (name === "crashes") return "crash";
    if (name === "hangs") return "silence";
    const picture = name === "empty" ? { problem: "has nothing to see" } : { pixels: new TextEncoder().encode(name) };
    return { type: "read", film: FILM, picture, milliseconds: 1 };
  }
  const text = `${new TextDecoder().decode(order.picture)} of ${order.patient || "nobody"}`;
  return { type: "reported", reports: [{ text, score: -1, isFinished: true }], milliseconds: 2 };
}

class FakeWorker extends EventTarget {
  static all: FakeWorker[] = [];
  static react = react;
  readonly orders: Order[] = [];
  isEnded = false;

  constructor(readonly script: URL) {
    super();
    FakeWorker.all.push(this);
  }

  postMessage(order: Order): void {
    this.orders.push(order);
    void FakeWorker.react(order).then((reaction) => {
      if (this.isEnded || reaction === "silence") return;
      const isCrash = reaction === "crash";
      this.dispatchEvent(isCrash ? new Event("error") : new MessageEvent("message", { data: reaction }));
    });
  }

  terminate(): void {
    this.isEnded = true;
  }
}

let answers: Answer[] = [];
let requests: string[] = [];

beforeEach(() => {
  answers = [];
  requests = [];
  FakeWorker.all = [];
  FakeWorker.react = react;
  const response = (url: URL) => {
    requests.push(url.pathname.slice(1));
    if (url.pathname.includes("absent")) return new Response(null, { status: 404 });
    return new Response("1234", { headers: { "Content-Length": "4" } });
  };
  Object.assign(globalThis, {
    Worker: FakeWorker,
    document: { baseURI: "http://localhost/" },
    crossOriginIsolated: true,
    fetch: (url: URL) => Promise.resolve().then(() => response(url)),
  });
  Object.defineProperty(globalThis, "navigator", { value: { hardwareConcurrency: 16 }, configurable: true });
});

afterEach(() => mock.timers.reset());

/** Waits for what has to come. */
async function until(isThere: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1000 && !isThere(); turn++) await new Promise(setImmediate);
  assert.ok(isThere(), JSON.stringify(answers));
}

function has(type: Answer["type"], count = 1): () => boolean {
  return () => answers.filter((answer) => answer.type === type).length >= count;
}

async function opened(model = "model.onnx"): Promise<Engine> {
  answers = [];
  const engine = new Engine((answer) => answers.push(answer));
  engine.open(model, "WASM");
  await until(() => has("ready")() || has("broken")());
  return engine;
}

/** What was said of films, in order. */
function said(): string[] {
  return answers.flatMap((answer) => {
    if (!("id" in answer)) return [];
    const more = answer.type === "reported" ? answer.reports[0]?.text : answer.type === "failed" ? answer.message : "";
    return [`${answer.id} ${answer.type} ${more}`.trim()];
  });
}

test("everything is loaded before a film is taken, and films are taken in order", async () => {
  const engine = new Engine((answer) => answers.push(answer));
  engine.film(1, new Blob(["first"]), SETTINGS, "");
  engine.open("model.onnx", "WASM");
  engine.film(2, new Blob(["second"]), SETTINGS, "an old man");
  await until(has("reported", 2));
  assert.deepEqual(requests.sort(), [
    "charlswasm_decode.wasm",
    "model.onnx",
    "openjpegwasm_decode.wasm",
    "ort-wasm-simd-threaded.wasm",
  ]);
  const loading = answers.filter((answer) => answer.type === "loading");
  assert.deepEqual(loading.at(-1), { type: "loading", loaded: 16, total: 16 });
  const ready = answers.findIndex((answer) => answer.type === "ready");
  assert.ok(ready < answers.findIndex((answer) => answer.type === "reading"));
  assert.deepEqual(answers[ready], { type: "ready", model: { ...INFO, threads: 4 } });
  assert.deepEqual(said(), [
    "1 reading",
    "1 read",
    "1 reported first of nobody",
    "2 reading",
    "2 read",
    "2 reported second of an old man",
  ]);
});

test("a film is asked for again without being read", async () => {
  const engine = await opened();
  engine.film(1, new Blob(["one"]), SETTINGS, "");
  await until(has("reported"));
  engine.again(1, { ...SETTINGS, beamWidth: 5 }, "a child");
  await until(has("reported", 2));
  assert.deepEqual(said().slice(2), ["1 reported one of nobody", "1 reported one of a child"]);
  const last = answers.at(-1);
  assert.ok(last?.type === "reported" && last.settings.beamWidth === 5);
});

test("films that can't be read, or show nothing, don't keep others from it", async () => {
  const engine = await opened();
  for (const [place, name] of ["bad", "empty", "good"].entries()) engine.film(place, new Blob([name]), SETTINGS, "");
  await until(has("reported"));
  assert.deepEqual(said(), [
    "0 reading",
    "0 failed is damaged or cut off",
    "1 reading",
    "1 read",
    "1 failed has nothing to see",
    "2 reading",
    "2 read",
    "2 reported good of nobody",
  ]);
  assert.equal(FakeWorker.all.filter(({ isEnded }) => isEnded).length, 0);
});

test("a film that was forgotten leaves the queue, and nothing more is said of the one at work", async () => {
  const engine = await opened();
  for (const id of [1, 2, 3]) engine.film(id, new Blob([`${id}`]), SETTINGS, "");
  engine.forget(1);
  engine.forget(2);
  await until(has("reported"));
  assert.deepEqual(said(), ["1 reading", "3 reading", "3 read", "3 reported 3 of nobody"]);
  const read = FakeWorker.all[0]?.orders.filter(({ type }) => type !== "open").map(({ type }) => type);
  assert.deepEqual(read, ["read", "read", "report"]);
});

test("a crash costs one film and no request: another worker, which was there before, goes on", async () => {
  const engine = await opened();
  requests = [];
  const workers = FakeWorker.all.length;
  for (const [id, name] of ["one", "crashes", "three"].entries()) engine.film(id, new Blob([name]), SETTINGS, "");
  await until(has("reported", 2));
  engine.again(0, SETTINGS, "a child");
  await until(has("reported", 3));
  assert.match(said().find((line) => line.startsWith("1 failed")) ?? "", /brought down what reads films/);
  assert.equal(said().at(-1), "0 reported one of a child");
  assert.deepEqual([requests, FakeWorker.all.length], [[], workers]);
  assert.deepEqual(
    FakeWorker.all.map(({ isEnded }) => isEnded),
    [true, false, false, false],
  );
  const [first, second] = FakeWorker.all[1]?.orders ?? [];
  assert.ok(first?.type === "load" && second?.type === "open" && second.threads === 1);
});

test("the page isn't ready before the workers in reserve have their scripts", async () => {
  let load = () => {};
  const isLoaded = new Promise<void>((resolve) => (load = resolve));
  FakeWorker.react = async (order) => {
    if (order.type === "load") await isLoaded;
    return react(order);
  };
  new Engine((answer) => answers.push(answer)).open("model.onnx", "WASM");
  await until(() => Boolean(FakeWorker.all[0]?.orders.length));
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  assert.ok(!has("ready")());
  load();
  await until(has("ready"));
});

test("a film that can't be read, and is asked for again meanwhile, keeps its reason until it is given anew", async () => {
  const engine = await opened();
  for (const [id, name] of ["bad", "crashes"].entries()) engine.film(id, new Blob([name]), SETTINGS, "");
  for (const id of [0, 1]) {
    await until(() => said().includes(`${id} reading`));
    engine.again(id, SETTINGS, "a child");
  }
  await until(has("failed", 4));
  const [first, second, ...again] = said().filter((line) => line.includes("failed"));
  assert.equal(first, "0 failed is damaged or cut off");
  assert.match(second ?? "", /1 failed brought down/);
  assert.deepEqual(again, [first, second]);
  engine.film(0, new Blob(["good"]), SETTINGS, "");
  await until(has("reported"));
  assert.equal(said().at(-1), "0 reported good of nobody");
});

test("an error of the page holds up no film", async () => {
  const error = mock.method(console, "error", () => undefined);
  const engine = new Engine((answer) => {
    answers.push(answer);
    if ("id" in answer && answer.id === 1) throw new Error("this film can't be drawn");
  });
  engine.open("model.onnx", "WASM");
  for (const id of [1, 2]) engine.film(id, new Blob([`${id}`]), SETTINGS, "");
  await until(has("reported", 2));
  assert.deepEqual([has("failed")(), error.mock.callCount()], [false, 3]);
  error.mock.restore();
});

test("when a file can't be loaded, nothing is said of the others any more", async () => {
  let feed = (_: string) => {};
  const endless = new ReadableStream({
    start(controller) {
      feed = (text) => controller.enqueue(new TextEncoder().encode(text));
    },
  });
  const signals: (AbortSignal | undefined)[] = [];
  const cut = new ReadableStream({ pull: (controller) => controller.error(new TypeError("network error")) });
  Object.assign(globalThis, {
    fetch: async (url: URL, init?: RequestInit) => {
      signals.push(init?.signal ?? undefined);
      if (url.pathname.endsWith(".onnx")) return new Response(cut);
      return new Response(url.pathname.includes("ort") ? endless : "1234");
    },
  });
  await opened();
  assert.deepEqual(answers.at(-1), {
    type: "broken",
    message: "model.onnx was cut off while it was loaded; reload the page to try again",
  });
  feed("more");
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  assert.equal(answers.at(-1)?.type, "broken");
  assert.ok(signals.length === 4 && signals.every((signal) => signal?.aborted));
});

test("crashes are survived while workers are in reserve, and none costs a request", async () => {
  const engine = await opened();
  const workers = FakeWorker.all.length;
  for (const id of [1, 2, 3]) engine.film(id, new Blob(["crashes"]), SETTINGS, "");
  engine.film(4, new Blob(["good"]), SETTINGS, "");
  await until(has("reported"));
  assert.equal(answers.filter(({ type }) => type === "failed").length, 3);
  engine.film(5, new Blob(["crashes"]), SETTINGS, "");
  await until(has("broken"));
  assert.match(JSON.stringify(answers.at(-1)), /load the page anew without them/);
  assert.equal(FakeWorker.all.length, workers);
  assert.ok(FakeWorker.all.every(({ isEnded }) => isEnded));
});

test("an outcome that is fatal ends the worker, too", async () => {
  const engine = await opened();
  FakeWorker.react = async (order) =>
    order.type === "report" && order.settings.beamWidth > 99
      ? { type: "failed", message: "needs more memory than the browser gives", isFatal: true }
      : react(order);
  engine.film(1, new Blob(["one"]), { ...SETTINGS, beamWidth: 100 }, "");
  await until(has("failed"));
  engine.again(1, SETTINGS, "");
  await until(has("reported"));
  assert.deepEqual(said().slice(1), [
    "1 read",
    "1 failed needs more memory than the browser gives",
    "1 reported one of nobody",
  ]);
});

test("a film that takes too long is given up", async () => {
  const engine = await opened();
  mock.timers.enable({ apis: ["setTimeout"] });
  engine.film(1, new Blob(["hangs"]), SETTINGS, "");
  engine.film(2, new Blob(["good"]), SETTINGS, "");
  await until(() => Boolean(FakeWorker.all[0]?.orders.some(({ type }) => type === "read")));
  mock.timers.tick(119_000);
  assert.ok(!has("failed")());
  mock.timers.tick(2_000);
  await until(has("reported"));
  assert.match(said()[1] ?? "", /1 failed took too long/);
});

test("what can't be loaded or opened is said", async () => {
  await opened("absent.onnx");
  assert.deepEqual(answers.at(-1), {
    type: "broken",
    message: "absent.onnx can't be loaded: the server answers 404",
  });
  FakeWorker.react = async () => ({ type: "failed", message: "model.onnx has fixed settings", isFatal: false });
  await opened();
  assert.deepEqual(answers.at(-1), { type: "broken", message: "model.onnx has fixed settings" });
  FakeWorker.react = async () => "crash";
  await opened();
  assert.match(JSON.stringify(answers.at(-1)), /broken.*load the page anew/);
  assert.ok(FakeWorker.all.every(({ isEnded }) => isEnded));
});

test("a model that can't be opened again breaks the page", async () => {
  const engine = await opened();
  FakeWorker.react = async (order) => (order.type === "open" ? "crash" : react(order));
  engine.film(1, new Blob(["crashes"]), SETTINGS, "");
  engine.film(2, new Blob(["good"]), SETTINGS, "");
  await until(has("broken"));
  assert.deepEqual(
    answers.slice(-2).map(({ type }) => type),
    ["failed", "broken"],
  );
});

test("without WebGPU, the processor does it", async () => {
  const engine = new Engine((answer) => answers.push(answer));
  engine.open("model.onnx", "WebGPU");
  await until(has("ready"));
  assert.ok(!requests.includes("encoder.onnx"));
  assert.ok(FakeWorker.all.every(({ script }) => script.href === "http://localhost/worker.js"));
});

test("where the browser has WebGPU, its files are loaded; where it fails, the processor does it", async () => {
  const gpu = { requestAdapter: async () => ({}) };
  Object.defineProperty(globalThis, "navigator", { value: { hardwareConcurrency: 2, gpu }, configurable: true });
  Object.assign(WebAssembly, { Suspending: class {} });
  const warn = mock.method(console, "warn", () => undefined);
  try {
    for (const isFailing of [false, true]) {
      [FakeWorker.all, requests, answers] = [[], [], []];
      FakeWorker.react = async (order) =>
        isFailing && order.type === "open" && order.files.graphs.length === 2 ? "crash" : react(order);
      new Engine((answer) => answers.push(answer)).open("model.onnx", "WebGPU");
      await until(has("ready"));
      assert.ok(requests.includes("encoder.onnx") && requests.includes("search.onnx"));
      assert.equal(requests.includes("model.onnx"), isFailing);
      const scripts = FakeWorker.all.filter(({ isEnded }) => !isEnded).map(({ script }) => script.pathname);
      const script = isFailing ? "/worker.js" : "/worker-webgpu.js";
      assert.deepEqual(scripts, [script, script, script, script]);
    }
    assert.equal(warn.mock.callCount(), 1);
  } finally {
    warn.mock.restore();
    Reflect.deleteProperty(WebAssembly, "Suspending");
  }
});
