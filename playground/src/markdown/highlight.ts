/** Programs as elements with their syntax in colours. One set of grammars, each compiled when it is first needed. */
import type { Element, Root, RootContent } from "hast";
import { common, createLowlight } from "lowlight";
import { visit } from "unist-util-visit";

const lowlight = createLowlight(common);
/** Colouring more than this would be felt. In UTF-16 units. */
const LIMIT = 60_000;

/** A program's elements; a language that is not known stays as it is. */
export function highlighted(code: string, language: string): RootContent[] {
  if (code.length > LIMIT || !lowlight.registered(language)) return [{ type: "text", value: code }];
  return lowlight.highlight(language, code).children;
}

/** A rehype plugin: colour the blocks of code that say what language they are in. */
export function rehypeHighlight() {
  return (tree: Root) => {
    visit(tree, "element", (code: Element, _, parent) => {
      if (code.tagName !== "code" || parent?.type !== "element" || parent.tagName !== "pre") return;
      const names = code.properties["className"] ?? [];
      const language = names.find((name) => name.startsWith("language-"))?.slice("language-".length);
      const [text] = code.children;
      if (!language || code.children.length !== 1 || text?.type !== "text") return;
      code.properties["className"] = ["hljs", ...names];
      code.children = highlighted(text.value, language) as Element["children"];
    });
  };
}
