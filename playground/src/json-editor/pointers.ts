/** Where in a JSON text the place of a JSON pointer is. Pure. */
import type { SyntaxNode, Tree } from "@lezer/common";

export interface Range {
  from: number;
  to: number;
}

/** The range of a pointer's value; of the innermost value around it where it does not exist. */
export function rangeOf(tree: Tree, text: string, pointer: string): Range {
  let node = valueIn(tree.topNode);
  for (const name of pointer.split("/").slice(1)) {
    const child = node && childOf(node, unescape(name), text);
    if (!child) break;
    node = child;
  }
  return node ? { from: node.from, to: node.to } : { from: 0, to: Math.min(1, text.length) };
}

const VALUES = new Set(["Object", "Array", "String", "Number", "True", "False", "Null"]);

function valueIn(node: SyntaxNode): SyntaxNode | null {
  for (let child = node.lastChild; child; child = child.prevSibling) if (VALUES.has(child.name)) return child;
  return null;
}

function childOf(node: SyntaxNode, name: string, text: string): SyntaxNode | null {
  if (node.name === "Array") {
    let index = 0;
    for (let child = node.firstChild; child; child = child.nextSibling) {
      if (VALUES.has(child.name) && index++ === Number(name)) return child;
    }
    return null;
  }
  for (const property of node.getChildren("Property")) {
    const key = property.getChild("PropertyName");
    if (key && parsed(text.slice(key.from, key.to)) === name) return valueIn(property) ?? property;
  }
  return null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const unescape = (name: string) => decodeURIComponent(name).replaceAll("~1", "/").replaceAll("~0", "~");
