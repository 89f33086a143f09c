/** What may be left of Markdown that a model or a file wrote: words, and no way to anything else. */
import { defaultSchema, type Options } from "rehype-sanitize";

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

const SAFE = /^(https?:|mailto:|sandbox:|#)/i;

/** The address of a link, or nothing where it is not one that may be followed. */
export function safeUrl(url: string): string {
  return SAFE.test(url.trim()) ? url.trim() : "";
}
