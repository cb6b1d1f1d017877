// One film on the page: what becomes of it, how it looks, and its report.

import type { Film, ModelInfo, Report, Settings } from "../types.js";
import { copyText } from "./clipboard.js";
import { named, part } from "./parts.js";
import { type Picture, pictureOf } from "./picture.js";
import type { Result } from "./rows.js";
import { isSame } from "./settings.js";
import { Viewer } from "./viewer.js";
import { copied, duration, quality, reportText, settingsInWords, withName } from "./wording.js";

export type State = "waiting" | "reading" | "read" | "done" | "failed";

const STATES: Record<State, string> = {
  waiting: "Waiting",
  reading: "Reading the film",
  read: "Writing the report",
  done: "Reported",
  failed: "No report",
};

const PENDING: Partial<Record<State, string>> = {
  waiting: "Waits for the model, or for the films before it.",
  reading: "The report comes when the film is read.",
  read: "Writing the report …",
};

/** What a card asks of the page that it stands on. */
export interface CardOwner {
  remove(card: FilmCard): void;
  again(card: FilmCard): void;
  say(message: string): void;
  readonly disclaimer: string;
}

export class FilmCard {
  /** By which the engine knows it. */
  readonly id: number;
  readonly element: HTMLElement;
  readonly file: File;
  readonly #viewer: Viewer;
  readonly #owner: CardOwner;
  #state: State = "waiting";
  #error: string | undefined;
  #reports: readonly Report[] = [];
  #settings: Settings | undefined;
  #askedPatient = "";
  #nBest = 1;
  #kind = "";
  #readMilliseconds: number | undefined;
  #reportMilliseconds: number | undefined;

  constructor(id: number, file: File, patient: string, owner: CardOwner) {
    this.id = id;
    this.file = file;
    this.#owner = owner;
    const copy = part(document, "template#film", HTMLTemplateElement).content.cloneNode(true) as DocumentFragment;
    this.element = part(copy, "article", HTMLElement);
    this.element.dataset.name = file.name;
    this.element.setAttribute("aria-label", file.name);
    named(this.element, "name", HTMLElement).textContent = file.name;
    named(this.element, "patient-text", HTMLTextAreaElement).value = patient;
    this.#viewer = new Viewer(this.element, file.name);
    const remove = named(this.element, "remove", HTMLButtonElement);
    remove.setAttribute("aria-label", `Remove ${file.name}`);
    remove.addEventListener("click", () => owner.remove(this));
    named(this.element, "again", HTMLButtonElement).addEventListener("click", () => owner.again(this));
    named(this.element, "copy", HTMLButtonElement).addEventListener("click", () => this.#copy());
    this.#show();
  }

  get state(): State {
    return this.#state;
  }

  set state(state: State) {
    this.#state = state;
    this.#show();
  }

  get isSettled(): boolean {
    return this.#state === "done" || this.#state === "failed";
  }

  /** Whether the worker has it, so that its report can be made anew without reading it. */
  get isRead(): boolean {
    return this.#readMilliseconds !== undefined;
  }

  get patient(): string {
    return named(this.element, "patient-text", HTMLTextAreaElement).value.trim();
  }

  get picture(): Picture | undefined {
    return this.#viewer.picture;
  }

  /** Where the focus goes when a neighbour is removed. */
  focus(): void {
    named(this.element, "name", HTMLElement).focus();
  }

  opened(model: ModelInfo): void {
    named(this.element, "patient", HTMLDetailsElement).hidden = !model.readsPatient;
  }

  asked(settings: Settings): void {
    this.#settings = settings;
    this.#askedPatient = this.patient;
  }

  /** Whether its report is, or will be, what these settings and the text of its patient give. */
  isOf(settings: Settings): boolean {
    return this.#settings !== undefined && isSame(this.#settings, settings) && this.#askedPatient === this.patient;
  }

  read(film: Film, milliseconds: number): void {
    this.#readMilliseconds = milliseconds;
    // A large JPEG is read at a size that is enough for the model, and not at its own.
    this.#kind = `${film.kind} read as ${film.width} × ${film.height} pixels`;
    this.#viewer.show(pictureOf(film));
    this.state = "read";
  }

  /** Shows the film with fewer pixels from now on. */
  replace(picture: Picture): void {
    this.#viewer.replace(picture);
  }

  reported(reports: readonly Report[], settings: Settings, milliseconds: number): void {
    this.#reports = reports;
    this.#settings = settings;
    this.#reportMilliseconds = milliseconds;
    this.#error = reports.length ? undefined : "These settings allow no report. Choose others, and apply them.";
    this.state = reports.length ? "done" : "failed";
  }

  failed(message: string): void {
    this.#error = withName(this.file.name, message);
    this.#reports = [];
    this.state = "failed";
  }

  /** The report is asked for once more: the one that is here is of other settings. */
  startAgain(settings: Settings): void {
    this.asked(settings);
    this.#error = undefined;
    this.#reports = [];
    this.#reportMilliseconds = undefined;
    this.state = "waiting";
  }

  /** How many results are shown. */
  set nBest(count: number) {
    this.#nBest = count;
    this.#show();
  }

  get result(): Result | undefined {
    if (!this.isSettled || !this.#settings) return undefined;
    return {
      name: this.file.name,
      ...(this.#error === undefined ? {} : { error: this.#error }),
      reports: this.#reports,
      settings: this.#settings,
      hasPatient: this.#askedPatient !== "",
      ...(this.#readMilliseconds === undefined ? {} : { readMilliseconds: this.#readMilliseconds }),
      ...(this.#reportMilliseconds === undefined ? {} : { reportMilliseconds: this.#reportMilliseconds }),
    };
  }

  close(): void {
    this.#viewer.close();
    this.element.remove();
  }

  #show(): void {
    const best = this.#reports[0];
    this.element.dataset.state = this.#state;
    this.#write("state", STATES[this.#state]);
    this.#write("pending", PENDING[this.#state] ?? "");
    setText(part(this.element, "[data-error]", HTMLElement), this.#error ?? "");
    named(this.element, "result", HTMLElement).hidden = !best;
    setText(part(this.element, "[data-report]", HTMLElement), best ? reportText(best) : "");
    this.#write("quality", best ? quality(best) : "");
    this.#showAlternatives();
    this.#write("facts", this.#facts());
  }

  #showAlternatives(): void {
    const others = this.#reports.slice(1, this.#nBest);
    named(this.element, "others", HTMLElement).hidden = others.length === 0;
    const list = named(this.element, "alternatives", HTMLOListElement);
    list.replaceChildren(
      ...others.map((report) => {
        const item = document.createElement("li");
        const facts = document.createElement("span");
        facts.className = "facts";
        facts.textContent = quality(report);
        item.append(reportText(report), facts);
        return item;
      }),
    );
  }

  #facts(): string {
    const facts = [];
    if (this.#readMilliseconds !== undefined) facts.push(`${this.#kind} in ${duration(this.#readMilliseconds)}`);
    if (this.#reportMilliseconds !== undefined) facts.push(`reported in ${duration(this.#reportMilliseconds)}`);
    const sentences = [facts.join(", ")];
    if (this.#reports.length && this.#settings) sentences.push(settingsInWords(this.#settings));
    return sentences.filter(Boolean).join(". ");
  }

  #write(name: string, text: string): void {
    setText(named(this.element, name, HTMLElement), text);
  }

  async #copy(): Promise<void> {
    const best = this.#reports[0];
    if (!best) return;
    const isCopied = await copyText(copied(best, this.#owner.disclaimer));
    const button = named(this.element, "copy", HTMLButtonElement);
    this.#owner.say(
      isCopied ? `Report of ${this.file.name} copied, with its disclaimer.` : "The browser allows no copying here.",
    );
    button.textContent = isCopied ? "Copied" : "Not copied";
    setTimeout(() => {
      button.textContent = "Copy report";
    }, 2000);
  }
}

/** What says the same as before isn't written again, or screen readers would read it again. */
function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
