/** What may be left of Markdown that a model or a file wrote: words, and no way to anything else. */
import type { Element, Root } from "hast";
import { defaultSchema, type Options } from "rehype-sanitize";
import { visit } from "unist-util-visit";

/** No pictures: a picture's address would tell another host that it was looked at. No ids: none of ours can be taken. */
export const schema: Options = {
  ...defaultSchema,
  tagNames: (defaultSchema.tagNames ?? []).filter(
    (name) => !["img", "picture", "source", "details", "summary"].includes(name),
  ),
  clobberPrefix: "said-",
  protocols: { href: ["http", "https", "mailto", "sandbox"] },
  attributes: {
    ...defaultSchema.attributes,
    // What remark-math and remark-gfm mark, for rehype-katex and rehype-highlight behind this.
    code: [["className", /^language-[\w+#.-]{1,40}$/, "math-inline", "math-display"]],
  },
};

/** A rehype plugin: HTML in Markdown stays the text that it is, and a picture becomes its words and its address. */
export function rehypePlain() {
  return (tree: Root) => {
    visit(tree, (node, index, parent) => {
      if (index === undefined || !parent) return;
      const place = parent as Element;
      if (node.type === "raw") place.children[index] = { type: "text", value: (node as { value: string }).value };
      else if (node.type === "element" && node.tagName === "img") {
        const { alt, src } = node.properties;
        place.children[index] = { type: "text", value: `[${[alt, src].filter(Boolean).join(" ")}]` };
      }
    });
  };
}

const SAFE = /^(https?:|mailto:|sandbox:|#)/i;

/** The address of a link, or nothing where it is not one that may be followed. */
export function safeUrl(url: string): string {
  return SAFE.test(url.trim()) ? url.trim() : "";
}
