// The page: films come in, the engine answers, cards show what became of them.

import type { Answer, ModelInfo, Request, Settings } from "../types.js";
import { FilmCard } from "./card.js";
import { download } from "./download.js";
import { acceptDrops } from "./drop.js";
import { part } from "./parts.js";
import { type Picture, reduced, toReduce } from "./picture.js";
import { type Result, toJson } from "./rows.js";
import { SettingsForm } from "./settings-form.js";
import { films, megabytes } from "./wording.js";

type Encoder = Extract<Request, { type: "open" }>["encoder"];

/** What the page wants of src/engine.ts. */
export interface ReportEngine {
  open(model: string, encoder: Encoder): void;
  film(id: number, file: Blob, settings: Settings, patient: string): void;
  again(id: number, settings: Settings, patient: string): void;
  forget(id: number): void;
}

/** A film that has to be shown with fewer pixels keeps so many on its longer side. */
const REDUCED_SIDE = 1024;

export class Page {
  readonly #engine: ReportEngine;
  readonly #encoder: Encoder;
  /** In the order in which their films were added. */
  #cards: FilmCard[] = [];
  readonly #form = new SettingsForm(
    () => this.#settingsChanged(),
    () => this.#applyToAll(),
  );
  #model: ModelInfo | undefined;
  #isBroken = false;
  #lastId = 0;

  constructor(makeEngine: (onAnswer: (answer: Answer) => void) => ReportEngine, encoder: Encoder) {
    this.#encoder = encoder;
    part(document, "#unstarted", HTMLElement).remove();
    const input = part(document, "#files", HTMLInputElement);
    input.addEventListener("change", () => {
      this.#add([...(input.files ?? [])]);
      input.value = ""; // the same film may be chosen again
    });
    acceptDrops((files) => this.#add(files));
    part(document, "#clear", HTMLButtonElement).addEventListener("click", () => this.#clear());
    part(document, "#download", HTMLButtonElement).addEventListener("click", () => this.#download());
    this.#engine = makeEngine((answer) => this.#answered(answer));
    this.#engine.open(new URL("model.onnx", document.baseURI).href, encoder);
  }

  get disclaimer(): string {
    return part(document, "#disclaimer", HTMLElement).textContent ?? "";
  }

  /** For those who hear the page. */
  say(message: string): void {
    part(document, "#status", HTMLElement).textContent = message;
  }

  remove(card: FilmCard): void {
    const place = this.#cards.indexOf(card);
    const neighbour = this.#cards[place + 1] ?? this.#cards[place - 1];
    this.#engine.forget(card.id);
    this.#cards.splice(place, 1);
    card.close();
    this.#countFilms();
    this.say(`${card.file.name} removed.`);
    if (neighbour) neighbour.focus();
    else part(document, "#files", HTMLInputElement).focus();
  }

  again(card: FilmCard): void {
    if (!this.#model) return;
    const { settings } = this.#form;
    // What can't be read is a new film: the engine gives what is read only once.
    const isNew = card.isSettled && !card.isRead;
    card.startAgain(settings);
    if (isNew) this.#engine.film(card.id, card.file, settings, card.patient);
    else this.#engine.again(card.id, settings, card.patient);
    this.#countFilms();
  }

  #add(files: File[]): void {
    if (this.#isBroken || !files.length) return;
    const patient = part(document, "#patient-text", HTMLTextAreaElement).value;
    for (const file of files) {
      const card = new FilmCard(++this.#lastId, file, patient, this);
      this.#cards.push(card);
      part(document, "#films", HTMLElement).append(card.element);
      if (this.#model) this.#begin(card, this.#model);
    }
    this.#countFilms();
    this.say(`${films(files.length)} added.`);
  }

  #begin(card: FilmCard, model: ModelInfo): void {
    card.opened(model);
    card.nBest = this.#form.nBest;
    this.#ask(card);
  }

  #ask(card: FilmCard): void {
    const { settings } = this.#form;
    card.asked(settings);
    this.#engine.film(card.id, card.file, settings, card.patient);
  }

  #answered(answer: Answer): void {
    if (answer.type === "loading") this.#loading(answer.loaded, answer.total);
    else if (answer.type === "ready") this.#ready(answer.model);
    else if (answer.type === "broken") this.#broken(answer.message);
    else {
      // A film that was removed may still be answered.
      const card = this.#cards.find(({ id }) => id === answer.id);
      if (card) this.#answeredFor(card, answer);
    }
  }

  #answeredFor(card: FilmCard, answer: Extract<Answer, { id: number }>): void {
    if (answer.type === "reading") card.state = "reading";
    else if (answer.type === "read") {
      card.read(answer.film, answer.milliseconds);
      this.#keepWithinBudget();
    } else if (answer.type === "reported") {
      card.reported(answer.reports, answer.settings, answer.milliseconds);
      this.say(`Report of ${card.file.name}: ${this.#settledOf()}`);
    } else card.failed(answer.message);
    this.#countFilms();
  }

  #loading(loaded: number, total: number): void {
    const bar = part(document, "#progress", HTMLProgressElement);
    const isKnown = total > 0 && loaded <= total;
    if (isKnown) {
      bar.max = total;
      bar.value = loaded;
    } else bar.removeAttribute("value");
    part(document, "#loaded", HTMLElement).textContent = isKnown
      ? `${megabytes(loaded)} of ${megabytes(total)}`
      : megabytes(loaded);
  }

  #ready(model: ModelInfo): void {
    this.#model = model;
    document.body.dataset.state = "ready";
    part(document, "#loading", HTMLElement).hidden = true;
    part(document, "#disclaimer", HTMLElement).textContent = model.disclaimer;
    part(document, "#patient", HTMLElement).hidden = !model.readsPatient;
    part(document, "#model", HTMLElement).textContent = this.#modelInWords(model);
    this.#form.open(model.settings);
    this.say("The model is loaded.");
    for (const card of this.#cards) this.#begin(card, model);
  }

  #modelInWords(model: ModelInfo): string {
    const threads = model.threads === 1 ? "1 thread" : `${model.threads} threads`;
    const instead = this.#encoder === "WebGPU" && model.encoder === "WASM" ? ", for WebGPU can’t be used here" : "";
    return `Model ${model.name}, ${model.megabytes.toFixed(1)} MB, on ${model.encoder} with ${threads}${instead}.`;
  }

  #broken(message: string): void {
    this.#isBroken = true;
    document.body.dataset.state = "broken";
    part(document, "#loading", HTMLElement).hidden = true;
    const fault = part(document, "#broken", HTMLElement);
    fault.hidden = false;
    fault.textContent = `No reports can be written: ${message}`;
    part(document, "#files", HTMLInputElement).disabled = true;
    for (const card of this.#cards) if (!card.isSettled) card.failed("There is no model.");
    this.#countFilms();
  }

  #settingsChanged(): void {
    for (const card of this.#cards) card.nBest = this.#form.nBest;
  }

  #applyToAll(): void {
    // Whether a film can be read doesn't depend on settings.
    const cards = this.#cards.filter((card) => card.isRead || !card.isSettled);
    const others = cards.filter((card) => !card.isOf(this.#form.settings));
    for (const card of others) this.again(card);
    this.say(others.length ? `${films(others.length)} to be reported again.` : "All films have these settings.");
  }

  #keepWithinBudget(): void {
    const shown = this.#cards.filter((card) => card.picture);
    const pictures = shown.map((card) => card.picture as Picture);
    for (const place of toReduce(pictures)) shown[place]?.replace(reduced(pictures[place] as Picture, REDUCED_SIDE));
  }

  #clear(): void {
    for (const card of this.#cards) {
      this.#engine.forget(card.id);
      card.close();
    }
    this.#cards = [];
    part(document, "#patient-text", HTMLTextAreaElement).value = "";
    this.#countFilms();
    this.say("All films removed.");
    part(document, "#files", HTMLInputElement).focus();
  }

  #download(): void {
    if (!this.#model) return;
    const results = this.#cards.map((card) => card.result).filter((result): result is Result => !!result);
    download("cxrscribe-reports.json", "application/json", toJson(results, this.#form.nBest, this.#model));
    this.say(`${films(results.length)} downloaded as JSON.`);
  }

  #settled(): number {
    return this.#cards.filter((card) => card.isSettled).length;
  }

  #settledOf(): string {
    return `${this.#settled()} of ${films(this.#cards.length)} done.`;
  }

  #countFilms(): void {
    const count = this.#cards.length;
    const settled = this.#settled();
    part(document, "#count", HTMLElement).textContent =
      count === 0 ? "" : settled === count ? films(count) : `${settled} of ${films(count)} done`;
    part(document, "#empty", HTMLElement).hidden = count > 0;
    part(document, "#clear", HTMLButtonElement).disabled = count === 0;
    part(document, "#download", HTMLButtonElement).disabled = settled === 0 || !this.#model;
    this.#form.hasFilms = count > 0;
  }
}
