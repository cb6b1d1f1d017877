// Numbers and states in words for people.

import type { Report, Settings } from "../types.js";

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 1 : 0)} s`;
}

/** How good a result is by the model's own measure, and whether it came to its end. */
export function quality({ score, isFinished }: Report): string {
  return `Score ${signed(score.toFixed(3))}, ${isFinished ? "finished" : "cut at the maximum length"}`;
}

export function settingsInWords({ beamWidth, maxLength, minLength, lengthPenalty }: Settings): string {
  return `Beam width ${beamWidth}, length ${minLength} to ${maxLength}, length penalty ${signed(String(lengthPenalty))}`;
}

/** A text without words is a report, too. */
export function reportText({ text }: Report): string {
  return text || "(no words)";
}

/** What goes to the clipboard: no report leaves without its disclaimer. */
export function copied(report: Report, disclaimer: string): string {
  return `${reportText(report)}\n\n${disclaimer}\n`;
}

export function films(count: number): string {
  return count === 1 ? "1 film" : `${count} films`;
}

/** Readers of films say "has several frames", and leave it to others to say which film has. */
export function withName(name: string, message: string): string {
  return /^[a-z]/.test(message) && !message.startsWith(name) ? `${name} ${message}` : message;
}

function signed(number: string): string {
  return number.replace(/^-/, "\u2212");
}
