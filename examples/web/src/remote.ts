// A worker that is asked one thing at a time.

import type { Order, Outcome } from "./protocol.js";

/** A worker that says nothing any more. */
export class WorkerLost extends Error {
  constructor(readonly why: "crashed" | "late") {
    super(`the worker ${why === "late" ? "takes too long" : "has crashed"}`);
  }
}

export class Remote {
  readonly #worker: Worker;
  #hasCrashed = false;
  #onOutcome: ((outcome: Outcome) => void) | undefined;
  #onLost: ((lost: WorkerLost) => void) | undefined;

  constructor(script: URL) {
    this.#worker = new Worker(script, { type: "module" });
    this.#worker.addEventListener("message", ({ data }: MessageEvent<Outcome>) => this.#onOutcome?.(data));
    for (const kind of ["error", "messageerror"]) {
      this.#worker.addEventListener(kind, () => {
        this.#hasCrashed = true;
        this.#onLost?.(new WorkerLost("crashed"));
      });
    }
  }

  /** Rejects with WorkerLost where nothing comes within the time. */
  ask(order: Order, seconds: number): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new WorkerLost("late")), seconds * 1000);
      this.#onOutcome = (outcome) => {
        clearTimeout(timer);
        resolve(outcome);
      };
      this.#onLost = (lost) => {
        clearTimeout(timer);
        reject(lost);
      };
      if (this.#hasCrashed) this.#onLost(new WorkerLost("crashed"));
      else this.#worker.postMessage(order);
    });
  }

  end(): void {
    this.#worker.terminate();
  }
}
