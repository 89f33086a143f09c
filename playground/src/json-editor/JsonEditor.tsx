/**
 * An editor for JSON that marks what is wrong while it is written.
 *
 * It lives in a shadow root: there, CodeMirror hands its styles over as style sheet objects; in a document it would
 * write a <style> element, which the content security policy refuses.
 */
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json, jsonLanguage, jsonParseLinter } from "@codemirror/lang-json";
import { bracketMatching, defaultHighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, linter } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, keymap, lineNumbers } from "@codemirror/view";
import { useEffect, useRef } from "react";

import type { Check } from "./functionSchema";
import { rangeOf } from "./pointers";
import { darkHighlightStyle, theme } from "./theme";

export interface JsonEditorProps {
  label: string;
  /** What the editor begins with; later changes of it are not taken over. */
  initial: string;
  check: Check;
  onChange: (text: string) => void;
}

export function JsonEditor({ label, initial, check, onChange }: JsonEditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const begin = useRef({ label, initial, check });
  const changed = useRef(onChange);
  useEffect(() => {
    changed.current = onChange;
  });

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const { label, initial, check } = begin.current;
    const root = element.shadowRoot ?? element.attachShadow({ mode: "open", delegatesFocus: true });
    const isDark = getComputedStyle(element).getPropertyValue("--is-dark").trim() === "1";
    const view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: initial,
        extensions: [
          lineNumbers(),
          history(),
          drawSelection(),
          indentOnInput(),
          bracketMatching(),
          json(),
          syntaxHighlighting(isDark ? darkHighlightStyle : defaultHighlightStyle),
          linter((view) => faultsIn(view.state.doc.toString(), check, view), { delay: 200 }),
          // Tab moves on, as everywhere on the page.
          keymap.of([...defaultKeymap, ...historyKeymap]),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": label, "aria-multiline": "true", tabindex: "0" }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) changed.current(update.state.doc.toString());
          }),
          theme(isDark),
        ],
      }),
    });
    return () => view.destroy();
  }, []);

  return <div ref={host} className="json-editor" />;
}

const parseFaults = jsonParseLinter();

function faultsIn(text: string, check: Check, view: EditorView): Diagnostic[] {
  const unparsed = parseFaults(view);
  if (unparsed.length) return unparsed;
  const tree = jsonLanguage.parser.parse(text);
  return check(JSON.parse(text)).map(({ pointer, message }) => ({
    ...rangeOf(tree, text, pointer),
    severity: "error",
    message,
  }));
}
