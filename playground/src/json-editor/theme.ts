import { HighlightStyle } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

/** Colours come from the page: custom properties pass into a shadow root. */
export const theme = (isDark: boolean) =>
  EditorView.theme(
    {
      "&": {
        color: "var(--text)",
        backgroundColor: "var(--surface)",
        border: "1px solid var(--border-strong)",
        borderRadius: "8px",
        fontSize: "13px",
        height: "100%",
      },
      "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "1px" },
      ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55", overflow: "auto" },
      ".cm-gutters": {
        backgroundColor: "transparent",
        color: "var(--text-dim)",
        border: "none",
      },
      ".cm-content": { caretColor: "var(--text)", minHeight: "12em", padding: "8px 0" },
      ".cm-cursor": { borderLeftColor: "var(--text)" },
      "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--selection)" },
      ".cm-tooltip": {
        backgroundColor: "var(--raised)",
        color: "var(--text)",
        border: "1px solid var(--border-strong)",
        borderRadius: "6px",
      },
      ".cm-diagnostic-error": { borderLeft: "3px solid var(--bad)", padding: "4px 10px" },
    },
    { dark: isDark },
  );

export const darkHighlightStyle = HighlightStyle.define([
  { tag: tags.propertyName, color: "#8ab4f8" },
  { tag: tags.string, color: "#a5d6a7" },
  { tag: [tags.number, tags.bool, tags.null], color: "#f2b880" },
]);
