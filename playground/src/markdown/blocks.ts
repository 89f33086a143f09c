/**
 * Cut Markdown that is still being written into blocks, so that only the last one is parsed anew for every token. Pure.
 *
 * A cut is made at a blank line outside of fences and display maths, where the next line begins something of its own:
 * neither indented, nor a list item, which may go on with the list before it. Code in fences is a block by itself, and
 * a list that became long is cut between its items, which only its spacing tells until it is complete.
 */
export function blocksOf(text: string): string[] {
  const blocks: string[] = [];
  let block: string[] = [];
  let length = 0;
  let fence: string | null = null;
  let isBlank = false;
  for (const line of text.split("\n")) {
    const isCut = isBlank ? startsBlock(line) : CODE.test(line) || (length > LONG && LIST_ITEM.test(line));
    if (fence === null && isCut && block.length) {
      blocks.push(block.join("\n"));
      block = [];
      length = 0;
    }
    block.push(line);
    length += line.length;
    const before: string | null = fence;
    fence = fenceAfter(fence, line);
    // Behind the end of code that stands by itself anything begins anew, as behind a blank line.
    isBlank = line.trim() === "" || (fence === null && before !== null && CODE.test(block[0]!));
  }
  blocks.push(block.join("\n"));
  return blocks;
}

/** More than this is felt when it is parsed with every token. In UTF-16 units. */
const LONG = 2000;
const LIST_ITEM = /^([-*+]|\d{1,9}[.)])\s/;
const ITEM = /^(\s|[-*+](\s|$)|\d{1,9}[.)](\s|$))/;
/** The first line of code in a fence that is not part of a list. */
const CODE = /^(`{3,}(?=[^`]*$)|~{3,})/;

function startsBlock(line: string): boolean {
  return line.trim() !== "" && !ITEM.test(line);
}

/** The fence that is open behind a line, if one is. */
function fenceAfter(fence: string | null, line: string): string | null {
  const mark = /^ {0,3}(`{3,}|~{3,}|\$\$)/.exec(line)?.[1];
  if (!mark) return fence;
  if (fence === null) return mark === "$$" && line.trim().length > 4 && line.trim().endsWith("$$") ? null : mark;
  const closes = mark[0] === fence[0] && mark.length >= fence.length && line.trim() === mark;
  return closes ? null : fence;
}

export interface OpenCode {
  language: string;
  code: string;
}

/** The code of a block whose fence is not closed yet; null for all other blocks. */
export function openCode(block: string): OpenCode | null {
  const mark = CODE.exec(block.slice(0, (block + "\n").indexOf("\n")))?.[1];
  if (!mark) return null;
  const [first, ...lines] = block.split("\n");
  if (lines.some((line) => fenceAfter(mark, line) === null)) return null;
  const language = first!.slice(mark.length).trim().split(/\s/)[0]!;
  return { language, code: lines.join("\n") };
}

/**
 * How much of code that is being written is coloured once and for a while: to the end of a line, four fifths at least
 * of what is long, so that what is coloured with every token stays short, and the rest is done anew ever more seldom.
 */
export function settledLength(code: string): number {
  let settled = 1000;
  if (code.length < settled) return 0;
  while (settled * 1.25 <= code.length) settled *= 1.25;
  return code.lastIndexOf("\n", settled) + 1;
}
