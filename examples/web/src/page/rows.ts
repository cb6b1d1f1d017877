// Films and their reports as JSON, with the names of `cxrscribe report --json`.

import type { ModelInfo, Report, Settings } from "../types.js";

/** A film with a report, or one that has none and why. */
export interface Result {
  name: string;
  error?: string;
  reports: readonly Report[];
  settings: Settings;
  /** Whether something was said of the patient. What, stays in the page. */
  hasPatient: boolean;
  readMilliseconds?: number;
  reportMilliseconds?: number;
}

/** An array of one object for each film. Reports after the first `nBest` are left out. */
export function toJson(results: readonly Result[], nBest: number, model: ModelInfo): string {
  return `${JSON.stringify(
    results.map((result) => row(result, nBest, model)),
    null,
    2,
  )}\n`;
}

/** One film. What the page doesn't know, tokens and their log-probabilities, isn't there. */
export function row(result: Result, nBest: number, model: ModelInfo): Record<string, unknown> {
  const [best, ...others] = result.reports.slice(0, nBest);
  const { settings } = result;
  return {
    film: result.name,
    error: result.error ?? null,
    text: best?.text ?? null,
    score: best?.score ?? null,
    finished: best?.isFinished ?? null,
    alternatives: best ? others.map(({ text, score, isFinished }) => ({ text, score, finished: isFinished })) : null,
    ...(model.readsPatient
      ? { indication: result.hasPatient, indication_from: result.hasPatient ? "given" : null }
      : {}),
    settings: {
      beam_width: settings.beamWidth,
      max_length: settings.maxLength,
      min_length: settings.minLength,
      length_penalty: settings.lengthPenalty,
      n_best: nBest,
    },
    milliseconds: { read: result.readMilliseconds ?? null, report: result.reportMilliseconds ?? null },
    model: { name: model.name, encoder: model.encoder, threads: model.threads },
    disclaimer: model.disclaimer,
  };
}
