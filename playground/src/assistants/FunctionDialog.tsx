import { useState } from "react";

import type { FunctionDefinition } from "../api/types";
import { checkFunction, problemIn } from "../json-editor/functionSchema";
import { JsonEditor } from "../json-editor/JsonEditor";
import { Dialog } from "../ui/Dialog";
import { Notice } from "../ui/Notice";

const EXAMPLE: FunctionDefinition = {
  name: "get_weather",
  description: "The weather in a city",
  parameters: {
    type: "object",
    properties: {
      city: { type: "string", description: "Name of the city" },
      unit: { type: "string", enum: ["celsius", "fahrenheit"] },
    },
    required: ["city"],
  },
};

export interface FunctionDialogProps {
  /** The function to change, or null for a new one. */
  definition: FunctionDefinition | null;
  taken: readonly string[];
  onSave: (definition: FunctionDefinition) => void;
  onClose: () => void;
}

export function FunctionDialog({ definition, taken, onSave, onClose }: FunctionDialogProps) {
  const [initial] = useState(() => JSON.stringify(definition ?? EXAMPLE, null, 2));
  const [text, setText] = useState(initial);
  const problem = problemIn(text, checkFunction) ?? doubleName(text, taken);
  const save = () => {
    onSave(JSON.parse(text) as FunctionDefinition);
    onClose();
  };
  return (
    <Dialog
      title={definition ? `Function ${definition.name}` : "New function"}
      onClose={onClose}
      size="large"
      actions={
        <>
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="button" className="button primary" onClick={save} disabled={!!problem}>
            {definition ? "Change function" : "Add function"}
          </button>
        </>
      }
    >
      <p className="field-hint">
        The model sees the name, the description and the parameters, which are a JSON Schema. When it calls the function,
        the run waits until you give an output.
      </p>
      <JsonEditor label="Function as JSON" initial={initial} check={checkFunction} onChange={setText} />
      {problem && <Notice kind="error">{problem}</Notice>}
    </Dialog>
  );
}

function doubleName(text: string, taken: readonly string[]): string | null {
  const { name } = JSON.parse(text) as FunctionDefinition;
  return taken.includes(name) ? `There is a function ${name} already.` : null;
}
