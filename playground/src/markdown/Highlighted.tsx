/** A program or JSON with its syntax in colours. */
import { toJsxRuntime } from "hast-util-to-jsx-runtime";
import { memo, type ReactNode, useMemo } from "react";
import { Fragment, jsx, jsxs } from "react/jsx-runtime";

import { CodeBlock } from "./CodeBlock";
import { highlighted } from "./highlight";

export interface HighlightedProps {
  code: string;
  language: "bash" | "javascript" | "json" | "python";
  label?: string;
}

export const Highlighted = memo(function Highlighted({ code, language, label }: HighlightedProps) {
  const content = useMemo<ReactNode>(
    () =>
      toJsxRuntime({ type: "root", children: highlighted(code, language) }, { Fragment, jsx, jsxs }) as ReactNode,
    [code, language],
  );
  return (
    <CodeBlock label={label}>
      <code className="hljs">{content}</code>
    </CodeBlock>
  );
});
