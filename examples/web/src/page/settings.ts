// Which settings of the search there may be: those of cxrscribe's BeamSettings.

import type { Settings } from "../types.js";

/** What a form says, before anyone knows whether it's right. `nBest` results are shown of those that were found. */
export interface Chosen extends Settings {
  nBest: number;
}

export interface Limit {
  /** As the form calls it. */
  label: string;
  least: number;
  most: number;
  isWhole: boolean;
}

export const LIMITS: Record<keyof Chosen, Limit> = {
  beamWidth: { label: "Beam width", least: 1, most: 1024, isWhole: true },
  maxLength: { label: "Maximum length", least: 1, most: 4096, isWhole: true },
  minLength: { label: "Minimum length", least: 0, most: 4096, isWhole: true },
  lengthPenalty: { label: "Length penalty", least: -10, most: 10, isWhole: false },
  nBest: { label: "Results shown", least: 1, most: 1024, isWhole: true },
};

/** What is wrong with each setting, in a sentence for people; empty where nothing is. */
export function faults(chosen: Chosen): Partial<Record<keyof Chosen, string>> {
  const found: Partial<Record<keyof Chosen, string>> = {};
  for (const [name, limit] of Object.entries(LIMITS) as [keyof Chosen, Limit][]) {
    const value = chosen[name];
    if (!(value >= limit.least && value <= limit.most) || (limit.isWhole && !Number.isInteger(value))) {
      found[name] = `Give a ${limit.isWhole ? "whole " : ""}number from ${limit.least} to ${limit.most}.`;
    }
  }
  if (!found.minLength && !found.maxLength && chosen.minLength >= chosen.maxLength) {
    found.minLength = "Give less than the maximum length, or no report can end.";
  }
  if (!found.nBest && !found.beamWidth && chosen.nBest > chosen.beamWidth) {
    found.nBest = `A search of beam width ${chosen.beamWidth} finds no more than ${chosen.beamWidth}.`;
  }
  return found;
}

export function isSame(one: Settings, other: Settings): boolean {
  return (
    one.beamWidth === other.beamWidth &&
    one.maxLength === other.maxLength &&
    one.minLength === other.minLength &&
    one.lengthPenalty === other.lengthPenalty
  );
}
