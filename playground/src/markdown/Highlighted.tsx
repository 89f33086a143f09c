/** A program or JSON with its syntax in colours. */
import { createLowlight } from "lowlight";
import bash from "highlight.js/lib/languages/bash";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import { toJsxRuntime } from "hast-util-to-jsx-runtime";
import { memo, type ReactNode, useMemo } from "react";
import { Fragment, jsx, jsxs } from "react/jsx-runtime";

import { CodeBlock } from "./CodeBlock";

const lowlight = createLowlight({ bash, javascript, json, python });
/** Colouring more than this would be felt. */
const LIMIT = 60_000;

export interface HighlightedProps {
  code: string;
  language: "bash" | "javascript" | "json" | "python";
  label?: string;
}

export const Highlighted = memo(function Highlighted({ code, language, label }: HighlightedProps) {
  const content = useMemo<ReactNode>(
    () =>
      code.length > LIMIT
        ? code
        : (toJsxRuntime(lowlight.highlight(language, code), { Fragment, jsx, jsxs }) as ReactNode),
    [code, language],
  );
  return (
    <CodeBlock label={label}>
      <code className="hljs">{content}</code>
    </CodeBlock>
  );
});
