/** The passage that a citation rests on, among the results of a run's searches. Pure. */
import type { RunStep } from "../api/types";

export interface Passage {
  fileName: string;
  score: number;
  text: string;
}

export interface Cited {
  fileId: string;
  quote: string;
}

/** Return the result of this file that has the quote; else the file's best; else null. */
export function passageOf(steps: readonly RunStep[], { fileId, quote }: Cited): Passage | null {
  const results = steps.flatMap((step) =>
    step.step_details.type === "tool_calls"
      ? step.step_details.tool_calls.flatMap((call) =>
          call.type === "file_search" ? (call.file_search.results ?? []) : [],
        )
      : [],
  );
  const passages = results
    .filter((result) => result.file_id === fileId)
    .map((result) => ({
      fileName: result.file_name,
      score: result.score,
      text: (result.content ?? []).map((part) => part.text ?? "").join("\n"),
    }))
    .filter(({ text }) => text)
    .sort((a, b) => b.score - a.score);
  return passages.find(({ text }) => quote && split(text, quote)) ?? passages[0] ?? null;
}

/** Cut a text before and behind a quote; white space may differ. Null where the quote is not in it. */
export function split(text: string, quote: string): [string, string, string] | null {
  const words = quote.trim().split(/\s+/).filter(Boolean);
  if (!words.length) return null;
  const found = new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("\\s+")).exec(text);
  if (!found) return null;
  const end = found.index + found[0].length;
  return [text.slice(0, found.index), found[0], text.slice(end)];
}
