/** A program or JSON with its syntax in colours. */
import { toJsxRuntime } from "hast-util-to-jsx-runtime";
import { memo, type ReactNode } from "react";
import { Fragment, jsx, jsxs } from "react/jsx-runtime";

import { type OpenCode, settledLength } from "./blocks";
import { CodeBlock } from "./CodeBlock";
import { highlighted } from "./highlight";

export interface HighlightedProps {
  code: string;
  language: "bash" | "javascript" | "json" | "python";
  label?: string;
}

export function Highlighted({ code, language, label }: HighlightedProps) {
  return (
    <CodeBlock label={label}>
      <code className="hljs">
        <Coloured code={code} language={language} />
      </code>
    </CodeBlock>
  );
}

/** Code of a fence that is not closed yet. */
export function GrowingCode({ code, language }: OpenCode) {
  const settled = settledLength(code);
  return (
    <CodeBlock>
      <code className={language ? `hljs language-${language}` : undefined}>
        {settled > 0 && <Coloured code={code.slice(0, settled)} language={language} />}
        <Coloured code={code.slice(settled)} language={language} />
      </code>
    </CodeBlock>
  );
}

const Coloured = memo(function Coloured({ code, language }: { code: string; language: string }): ReactNode {
  return toJsxRuntime({ type: "root", children: highlighted(code, language) }, { Fragment, jsx, jsxs }) as ReactNode;
});
