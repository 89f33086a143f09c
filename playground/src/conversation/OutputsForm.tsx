import { SquareFunction } from "lucide-react";
import { type FormEvent, useState } from "react";

import type { Run } from "../api/types";
import { Highlighted } from "../markdown/Highlighted";
import { Field } from "../ui/Field";
import { prettyJson } from "../ui/format";
import { useConversation } from "./conversations";
import { useRowConversation } from "./MessageList";

/** The functions that a run waits for: their arguments, and a place for the output of each. */
export function OutputsForm({ run }: { run: Run }) {
  const conversation = useRowConversation();
  const calls = run.required_action?.submit_tool_outputs.tool_calls ?? [];
  const outputs = useConversation(conversation, (state) => state.outputs);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    await conversation.submitOutputs(run.id, calls.map(({ id }) => id));
    setBusy(false);
  };
  return (
    <form className="outputs" onSubmit={(event) => void submit(event)} aria-label="Function outputs">
      <p className="outputs-head">
        The run waits for {calls.length === 1 ? "the output of a function" : `the outputs of ${calls.length} functions`}.
      </p>
      {calls.map((call) => (
        <section key={call.id} className="outputs-call" aria-label={call.function.name}>
          <h2>
            <SquareFunction size={16} aria-hidden /> {call.function.name}
          </h2>
          <Highlighted code={prettyJson(call.function.arguments)} language="json" label="Arguments" />
          <Field label={`Output of ${call.function.name}`} hint="Any text; models read JSON well.">
            {(control) => (
              <textarea
                {...control}
                rows={3}
                spellCheck={false}
                className="mono"
                value={outputs[call.id] ?? ""}
                onChange={(event) => conversation.typeOutput(call.id, event.target.value)}
              />
            )}
          </Field>
        </section>
      ))}
      <div className="row end">
        <button type="button" className="button" onClick={() => void conversation.stop()}>
          Cancel the run
        </button>
        <button type="submit" className="button primary" disabled={isBusy}>
          {calls.length === 1 ? "Give output" : "Give outputs"}
        </button>
      </div>
    </form>
  );
}
