// The page's side of what reads films and writes reports: it brings the files, gives films to a worker one by one, and
// puts another worker in the place of one that has crashed.

import { loadFiles } from "./loading.js";
import type { Encoder, ModelFiles, Order, Outcome, Picture } from "./protocol.js";
import { Remote, WorkerLost } from "./remote.js";
import type { Answer, ModelInfo, Request, Settings } from "./types.js";

/** What belongs to an encoder, beside the page. The graphs lie beside the model that is asked for. */
const PARTS = {
  WASM: { worker: "worker.js", runtimes: ["ort-wasm-simd-threaded.wasm"], graphs: undefined },
  WebGPU: {
    worker: "worker-webgpu.js",
    runtimes: ["ort-wasm-simd-threaded.jspi.wasm", "ort-wasm-simd-threaded.wasm"],
    graphs: ["encoder.onnx", "search.onnx"],
  },
} as const;
const CODECS = ["openjpegwasm_decode.wasm", "charlswasm_decode.wasm"] as const;
const MOST_THREADS = 4;
/** Seconds after which a worker counts as one that hangs. */
const LIMITS = { open: 600, read: 120, report: 600 } as const;

type Job = Extract<Request, { type: "film" | "again" }>;

export class Engine {
  readonly #onAnswer: (answer: Answer) => void;
  /** Films that were read, as the network sees them: they can be asked for again, and a crash doesn't take them. */
  readonly #pictures = new Map<number, Picture>();
  #queue: Job[] = [];
  #current: Job | undefined;
  #isForgotten = false;
  #isOpen = false;
  #encoder: Encoder = "WASM";
  #files: ModelFiles | undefined;
  #worker: Remote | undefined;
  /** It has its scripts already, so that a crash costs no request. */
  #spare: Remote | undefined;

  constructor(onAnswer: (answer: Answer) => void) {
    this.#onAnswer = onAnswer;
  }

  /** Loads a model and what runs it. `model` is its address. Answers `loading`, and then `ready` or `broken`. */
  open(model: string, encoder: Encoder): void {
    this.#open(new URL(model, document.baseURI), encoder).then(
      (info) => {
        this.#isOpen = true;
        this.#onAnswer({ type: "ready", model: info });
        void this.#work();
      },
      (error: unknown) => this.#break(error),
    );
  }

  film(id: number, file: Blob, settings: Settings, patient: string): void {
    this.#add({ type: "film", id, file, settings, patient });
  }

  again(id: number, settings: Settings, patient: string): void {
    // One that still waits is asked for once, in its place, as it is wanted now.
    const waiting = this.#queue.find((job) => job.id === id);
    if (waiting) Object.assign(waiting, { settings, patient });
    else this.#add({ type: "again", id, settings, patient });
  }

  forget(id: number): void {
    this.#pictures.delete(id);
    this.#queue = this.#queue.filter((job) => job.id !== id);
    if (this.#current?.id === id) this.#isForgotten = true;
  }

  async #open(model: URL, wanted: Encoder): Promise<ModelInfo> {
    if (wanted === "WebGPU" && (await hasWebGPU())) {
      try {
        return await this.#openWith("WebGPU", model);
      } catch (error) {
        console.warn("WebGPU can't be used:", error);
        this.#end();
      }
    }
    return this.#openWith("WASM", model);
  }

  async #openWith(encoder: Encoder, model: URL): Promise<ModelInfo> {
    this.#encoder = encoder;
    this.#worker = this.#newWorker();
    this.#spare = this.#newWorker();
    const { runtimes, graphs } = PARTS[encoder];
    const besidePage = [...CODECS, ...runtimes].map((name) => new URL(name, document.baseURI));
    const ofModel = graphs?.map((name) => new URL(name, model)) ?? [model];
    const [openjpeg, charls, ...loaded] = await loadFiles([...besidePage, ...ofModel], (part, total) =>
      this.#onAnswer({ type: "loading", loaded: part, total }),
    );
    const [wasm, onnx] = [loaded.slice(0, runtimes.length), loaded.slice(runtimes.length)];
    this.#files = { openjpeg, charls, runtimes: wasm, graphs: onnx } as ModelFiles;
    return this.#openWorker(crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1);
  }

  #newWorker(): Remote {
    return new Remote(new URL(PARTS[this.#encoder].worker, document.baseURI));
  }

  async #openWorker(threads: number): Promise<ModelInfo> {
    const outcome = await this.#ask({ type: "open", files: this.#files as ModelFiles, threads });
    if (outcome.type === "opened") return outcome.model;
    throw new Error(outcome.type === "failed" ? outcome.message : "the worker doesn't do what it is asked for");
  }

  #add(job: Job): void {
    this.#queue.push(job);
    void this.#work();
  }

  /** Takes films until none is left. */
  async #work(): Promise<void> {
    if (!this.#isOpen || this.#current) return;
    for (let job = this.#queue.shift(); job; job = this.#queue.shift()) {
      this.#current = job;
      this.#isForgotten = false;
      try {
        await this.#take(job);
      } catch (error) {
        this.#say({ type: "failed", id: job.id, message: whatHappened(error) });
        try {
          await this.#replace();
        } catch (reason) {
          this.#break(reason);
          return;
        }
      }
    }
    this.#current = undefined;
  }

  /** Throws where the worker can't be asked for more. */
  async #take(job: Job): Promise<void> {
    const { id, settings, patient } = job;
    if (job.type === "film") {
      this.#say({ type: "reading", id });
      const read = await this.#ask({ type: "read", file: job.file });
      if (read.type !== "read") return this.#fail(id, read);
      if (this.#isForgotten) return;
      this.#pictures.set(id, read.picture);
      this.#say({ type: "read", id, film: read.film, milliseconds: read.milliseconds });
    }
    const picture = this.#pictures.get(id);
    if (!picture) return this.#say({ type: "failed", id, message: "was not read; give the film again" });
    if ("problem" in picture) return this.#say({ type: "failed", id, message: picture.problem });
    const found = await this.#ask({ type: "report", picture: picture.pixels, settings, patient });
    if (found.type !== "reported") return this.#fail(id, found);
    this.#say({ type: "reported", id, reports: found.reports, milliseconds: found.milliseconds, settings });
  }

  #fail(id: number, outcome: Outcome): void {
    if (outcome.type !== "failed" || outcome.isFatal) throw new Error(outcome.type === "failed" ? outcome.message : "");
    this.#say({ type: "failed", id, message: outcome.message });
  }

  #ask(order: Order): Promise<Outcome> {
    return (this.#worker as Remote).ask(order, LIMITS[order.type]);
  }

  /** Of a film that is still wanted. */
  #say(answer: Answer): void {
    if (!this.#isForgotten) this.#onAnswer(answer);
  }

  /** With one thread: the scripts of others might have to be asked for. */
  async #replace(): Promise<void> {
    this.#worker?.end();
    this.#worker = this.#spare ?? this.#newWorker();
    this.#spare = undefined;
    await this.#openWorker(1);
  }

  #end(): void {
    this.#worker?.end();
    this.#spare?.end();
    this.#worker = this.#spare = this.#files = undefined;
  }

  #break(error: unknown): void {
    this.#end();
    this.#isOpen = false;
    this.#queue = [];
    const message = error instanceof WorkerLost ? "the program can't be started; load the page anew" : String(error);
    this.#onAnswer({ type: "broken", message: message.replace(/^Error: /, "") });
  }
}

function whatHappened(error: unknown): string {
  if (!(error instanceof WorkerLost)) return error instanceof Error ? error.message : String(error);
  return error.why === "late"
    ? "took too long and was given up; the others go on"
    : "brought down what reads films, or needs more memory than the browser gives; the others go on";
}

/** Whether the browser has a graphics processor for WebAssembly that waits for it. */
async function hasWebGPU(): Promise<boolean> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<unknown> } };
  if (!gpu || !("Suspending" in WebAssembly)) return false;
  return Boolean(await gpu.requestAdapter().catch(() => null));
}
