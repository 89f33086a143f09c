/**
 * Citations in Markdown. Pure.
 *
 * The marker of an annotation is replaced by a character of the private use area before the text is parsed, so that no
 * file name in it can be taken for Markdown, and by an element after it was sanitized, so that no text can forge one.
 */
import type { Element, ElementContent, Root, Text } from "hast";
import { visit } from "unist-util-visit";

const FIRST = 0xe000;
const LAST = 0xf8ff;
const PRIVATE = /[\ue000-\uf8ff]/g;

export interface Marked {
  /** The marker as it stands in the text, such as `【0:0†terms.pdf】`. */
  text: string;
  start_index: number;
  end_index: number;
}

/** Put the `n`th marker's character where its marker stands. Indexes are code points. */
export function placeMarkers(value: string, markers: readonly Marked[]): string {
  const clean = value.replace(PRIVATE, "\ufffd");
  if (!markers.length) return clean;
  const points = Array.from(clean); // code points
  const inOrder = markers
    .map((marker, n) => ({ marker, n }))
    .filter(({ n }) => FIRST + n <= LAST)
    .sort((a, b) => b.marker.start_index - a.marker.start_index);
  for (const { marker, n } of inOrder) {
    const { start_index: start, end_index: end, text } = marker;
    if (points.slice(start, end).join("") !== text.replace(PRIVATE, "\ufffd")) continue; // still on its way
    points.splice(start, end - start, String.fromCharCode(FIRST + n));
  }
  return points.join("");
}

/** A rehype plugin: characters of markers become `<cite data-marker="n">`. */
export function rehypeMarkers() {
  return (tree: Root) => {
    visit(tree, "text", (node: Text, index, parent) => {
      if (index === undefined || !parent || !node.value.match(PRIVATE)) return;
      const parts: ElementContent[] = [];
      for (const piece of node.value.split(/([\ue000-\uf8ff])/)) {
        if (piece.length === 1 && piece.match(PRIVATE)) parts.push(cite(piece.charCodeAt(0) - FIRST));
        else if (piece) parts.push({ type: "text", value: piece });
      }
      (parent as Element).children.splice(index, 1, ...parts);
      return index + parts.length;
    });
  };
}

function cite(n: number): Element {
  return { type: "element", tagName: "cite", properties: { dataMarker: String(n) }, children: [] };
}
