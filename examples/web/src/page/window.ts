// Window and level: which stored values are black, which are white, and how they are changed by hand.

import type { Stored, Window } from "../types.js";

/** What a window may be for the values of one film. */
export interface Range {
  least: number;
  largest: number;
}

/** The least and the largest of the values that a film's codes stand for. */
export function rangeOf(values: Float32Array): Range {
  let least = Number.POSITIVE_INFINITY;
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value < least) least = value; // NaN is neither
    if (value > largest) largest = value;
  }
  return least <= largest ? { least, largest } : { least: 0, largest: 1 };
}

/** The grey level of each code, black 0 and white 255, through a window. Padding is black, whatever the window. */
export function levelsThrough(stored: Stored, { center, width }: Window): Uint8Array {
  const least = center - width / 2;
  return Uint8Array.from(stored.values, (value) => {
    if (Number.isNaN(value)) return 0;
    const brightness = Math.min(1, Math.max(0, (value - least) / width));
    return Math.round(255 * (stored.isInverse ? 1 - brightness : brightness));
  });
}

/** By how much the smallest step by keyboard or mouse changes a window: one that a person sees. */
export function stepOf(range: Range): number {
  const span = range.largest - range.least;
  if (!(span > 0)) return 1;
  return 10 ** Math.floor(Math.log10(span / 100));
}

/** A window moved and widened by so many values, kept where there is something to see. */
export function changed(window: Window, range: Range, byLevel: number, byWidth: number): Window {
  return kept({ center: window.center + byLevel, width: window.width + byWidth }, range);
}

/**
 * What dragging the mouse by so many pixels makes of a window: to the right is wider, `dy` raises the level.
 * 400 pixels are as wide as the window was, so that a narrow one is moved with a light hand.
 */
export function dragged(window: Window, range: Range, dx: number, dy: number): Window {
  const perPixel = Math.max(window.width, stepOf(range) * 10) / 400;
  return changed(window, range, dy * perPixel, dx * perPixel);
}

/** Numbers that can be shown and typed: at a tenth of the smallest step. */
export function kept(window: Window, range: Range): Window {
  const step = stepOf(range);
  const span = Math.max(range.largest - range.least, step);
  const width = Math.min(Math.max(window.width, step), 4 * span);
  const center = Math.min(Math.max(window.center, range.least - span), range.largest + span);
  return { center: rounded(center, step), width: Math.max(rounded(width, step), step) };
}

function rounded(value: number, step: number): number {
  const digits = Math.min(20, Math.max(0, 1 - Math.floor(Math.log10(step))));
  return Number(value.toFixed(step >= 10 ? 0 : digits));
}
