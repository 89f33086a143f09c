import { checkResponseFormat } from "../json-editor/functionSchema";
import { JsonEditor } from "../json-editor/JsonEditor";
import { Field } from "../ui/Field";
import { Notice } from "../ui/Notice";
import type { ChangeDraft } from "./AssistantEditor";
import type { Draft } from "./draft";

export interface FormatFieldsProps {
  draft: Draft;
  change: ChangeDraft;
  problem: string | undefined;
}

/** The form that answers have. */
export function FormatFields({ draft, change, problem }: FormatFieldsProps) {
  return (
    <>
      <Field label="Response format">
        {(control) => (
          <select
            {...control}
            value={draft.format}
            onChange={(event) => change({ format: event.target.value as Draft["format"] })}
          >
            <option value="auto">Text</option>
            <option value="json_object">A JSON object</option>
            <option value="json_schema">JSON by a schema</option>
          </select>
        )}
      </Field>
      {draft.format === "json_schema" && (
        <>
          <JsonEditor
            label="Response format as JSON"
            initial={draft.formatSchema}
            check={checkResponseFormat}
            onChange={(formatSchema) => change({ formatSchema })}
          />
          {problem && <Notice kind="error">{problem}</Notice>}
        </>
      )}
    </>
  );
}
