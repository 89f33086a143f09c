/**
 * Cut Markdown that is still being written into blocks, so that only the last one is parsed anew for every token. Pure.
 *
 * A cut is made at a blank line outside of fences and display maths, where the next line begins something of its own:
 * neither indented, nor a list item, which may go on with the list before it.
 */
export function blocksOf(text: string): string[] {
  const blocks: string[] = [];
  let block: string[] = [];
  let fence: string | null = null;
  let isBlank = false;
  for (const line of text.split("\n")) {
    if (fence === null && isBlank && startsBlock(line)) {
      blocks.push(block.join("\n"));
      block = [];
    }
    block.push(line);
    fence = fenceAfter(fence, line);
    isBlank = line.trim() === "";
  }
  blocks.push(block.join("\n"));
  return blocks;
}

const ITEM = /^(\s|[-*+](\s|$)|\d{1,9}[.)](\s|$))/;

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
