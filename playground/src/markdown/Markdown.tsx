/** Text of a model as Markdown: highlighted code, maths, tables, and nothing that could become script. */
import { memo, type ReactNode, useMemo } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import rehypeKatex from "rehype-katex";
import rehypeSanitize from "rehype-sanitize";
import remarkGfm from "remark-gfm";
import remarkMath from "remark-math";
import type { PluggableList } from "unified";

import { blocksOf, openCode } from "./blocks";
import { type Marked, placeMarkers, rehypeMarkers } from "./citations";
import { CodeBlock } from "./CodeBlock";
import { rehypeHighlight } from "./highlight";
import { GrowingCode } from "./Highlighted";
import { rehypePlain, safeUrl, schema } from "./schema";

// `$` alone is money far more often than maths: only `$$` and, rewritten below, `\(...\)` and `\[...\]` are maths.
const REMARK: PluggableList = [remarkGfm, [remarkMath, { singleDollarTextMath: false }]];
// What comes behind the sanitizer is ours: it adds elements, and trusts no text.
const REHYPE: PluggableList = [
  rehypePlain,
  [rehypeSanitize, schema],
  [rehypeKatex, { trust: false, strict: "ignore", maxExpand: 200, output: "htmlAndMathml" }],
  rehypeHighlight,
  rehypeMarkers,
];

export interface MarkdownProps {
  text: string;
  /** Still being written: parsed block by block. */
  isLive?: boolean;
  markers?: readonly Marked[];
  /** What stands in place of the `n`th marker. */
  renderMarker?: (n: number) => ReactNode;
  /** What stands in place of a link to a file of the sandbox. */
  renderSandboxLink?: (url: string, children: ReactNode) => ReactNode;
}

const NONE: readonly Marked[] = [];

export const Markdown = memo(function Markdown(props: MarkdownProps) {
  const { text, isLive = false, markers = NONE, renderMarker, renderSandboxLink } = props;
  const components = useMemo(
    () => componentsWith(renderMarker, renderSandboxLink),
    [renderMarker, renderSandboxLink],
  );
  const source = useMemo(() => withDollars(placeMarkers(text, markers)), [text, markers]);
  const blocks = isLive ? blocksOf(source) : [source];
  return (
    <div className="markdown">
      {blocks.map((block, index) => {
        const code = isLive && index === blocks.length - 1 ? openCode(block) : null;
        return code ? (
          <GrowingCode key={index} {...code} />
        ) : (
          <Block key={index} source={block} components={components} />
        );
      })}
    </div>
  );
});

const Block = memo(function Block({ source, components }: { source: string; components: Components }) {
  return (
    <ReactMarkdown remarkPlugins={REMARK} rehypePlugins={REHYPE} components={components} urlTransform={safeUrl}>
      {source}
    </ReactMarkdown>
  );
});

function componentsWith(
  renderMarker: MarkdownProps["renderMarker"],
  renderSandboxLink: MarkdownProps["renderSandboxLink"],
): Components {
  return {
    a({ href, children }) {
      if (href?.startsWith("sandbox:")) return renderSandboxLink?.(href, children) ?? <span>{children}</span>;
      if (!href || href.startsWith("#")) return <span>{children}</span>;
      return (
        <a href={href} target="_blank" rel="noopener noreferrer nofollow">
          {children}
        </a>
      );
    },
    cite({ node }) {
      return renderMarker?.(Number(node?.properties["dataMarker"])) ?? null;
    },
    pre({ children }) {
      return <CodeBlock>{children}</CodeBlock>;
    },
    table({ children }) {
      return (
        <div className="table-wrap" tabIndex={0} role="group" aria-label="Table">
          <table>{children}</table>
        </div>
      );
    },
  };
}

/** Models write `\(x\)` and `\[x\]`; remark-math reads dollars. Code is left as it is. */
export function withDollars(text: string): string {
  if (!text.includes("\\(") && !text.includes("\\[")) return text;
  return text
    .split(/(```[\s\S]*?(?:```|$)|~~~[\s\S]*?(?:~~~|$)|`[^`\n]*`)/)
    .map((piece, index) =>
      index % 2
        ? piece
        : piece
            .replace(/\\\[([\s\S]+?)\\\]/g, (_, maths: string) => ["", "$$", maths.trim(), "$$", ""].join("\n"))
            .replace(/\\\(([^\n]+?)\\\)/g, (_, maths: string) => "$$" + maths.trim() + "$$"),
    )
    .join("");
}
