// The form of the settings. What is out of range is said beside its field, and isn't used.

import type { Settings } from "../types.js";
import { part } from "./parts.js";
import { type Chosen, faults, LIMITS } from "./settings.js";

export class SettingsForm {
  readonly #form = part(document, "#settings-form", HTMLFormElement);
  readonly #apply = part(document, "#apply", HTMLButtonElement);
  readonly #defaults = part(document, "#defaults", HTMLButtonElement);
  readonly #changed: () => void;
  /** The last ones without a fault. */
  #chosen: Chosen | undefined;
  #isRight = false;
  #hasFilms = false;

  /** `changed` is called when there are new settings, `apply` when all films shall have them. */
  constructor(changed: () => void, apply: () => void) {
    this.#changed = changed;
    this.#form.addEventListener("input", () => this.#take());
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#apply.addEventListener("click", apply);
    for (const name of NAMES) {
      const field = this.#field(name);
      field.min = String(LIMITS[name].least);
      field.max = String(LIMITS[name].most);
      field.disabled = true;
    }
  }

  /** Shows the model's own settings, and lets them be changed. */
  open(own: Settings): void {
    const chosen: Chosen = { ...own, nBest: 1 };
    this.#defaults.disabled = false;
    this.#defaults.addEventListener("click", () => this.#fill(chosen));
    for (const name of NAMES) this.#field(name).disabled = false;
    this.#fill(chosen);
  }

  get settings(): Settings {
    if (!this.#chosen) throw new Error("No settings before there is a model");
    const { beamWidth, maxLength, minLength, lengthPenalty } = this.#chosen;
    return { beamWidth, maxLength, minLength, lengthPenalty };
  }

  get nBest(): number {
    return this.#chosen?.nBest ?? 1;
  }

  /** Whether there are films that settings can be applied to. */
  set hasFilms(hasFilms: boolean) {
    this.#hasFilms = hasFilms;
    this.#allowApply();
  }

  #fill(chosen: Chosen): void {
    for (const name of NAMES) this.#field(name).value = String(chosen[name]);
    this.#take();
  }

  #take(): void {
    const chosen = Object.fromEntries(
      NAMES.map((name) => [name, this.#field(name).valueAsNumber]),
    ) as unknown as Chosen;
    const found = faults(chosen);
    for (const name of NAMES) {
      this.#field(name).setAttribute("aria-invalid", String(name in found));
      part(this.#form, `[data-fault="${name}"]`, HTMLElement).textContent = found[name] ?? "";
    }
    this.#isRight = Object.keys(found).length === 0;
    this.#allowApply();
    if (!this.#isRight) return;
    this.#chosen = chosen;
    this.#changed();
  }

  #allowApply(): void {
    this.#apply.disabled = !this.#isRight || !this.#hasFilms;
  }

  #field(name: keyof Chosen): HTMLInputElement {
    return part(this.#form, `[name="${name}"]`, HTMLInputElement);
  }
}

const NAMES = Object.keys(LIMITS) as (keyof Chosen)[];
