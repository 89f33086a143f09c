import { ArrowLeft, Trash2 } from "lucide-react";
import { type FormEvent, useRef, useState } from "react";
import { flushSync } from "react-dom";

import { messageOf } from "../api/errors";
import type { Assistant } from "../api/types";
import { Header } from "../app/Header";
import { usePanels } from "../app/panels";
import { go } from "../app/route";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { CopyButton } from "../ui/CopyButton";
import { Field } from "../ui/Field";
import { Notice } from "../ui/Notice";
import { changesOf, type Draft, draftOf, EMPTY, paramsOf, problemsOf } from "./draft";
import { useDrafts } from "./drafts";
import { FormatFields } from "./FormatFields";
import { useDeleteAssistant, useModels, useSaveAssistant } from "./queries";
import { firstModel } from "./starter";
import { ToolFields } from "./ToolFields";

/** A function is given the draft as it is then: for what takes a while. */
export type ChangeDraft = (change: Partial<Draft> | ((draft: Draft) => Partial<Draft>)) => void;

const UNCHANGED: Partial<Draft> = {};

/** An assistant as a form: what was changed lies over what the server has, also when that changes meanwhile. */
export function AssistantEditor({ assistant }: { assistant: Assistant | null }) {
  const { data: models } = useModels();
  const id = assistant?.id ?? "new";
  const changes = useDrafts((state) => state.changes[id]) ?? UNCHANGED;
  const { change: changeDraft, forget } = useDrafts();
  const isChanged = Object.keys(changes).length > 0;
  // A new assistant begins with a model that is there, as soon as that is known.
  const saved = assistant ? draftOf(assistant) : { ...EMPTY, model: models ? firstModel(models) : "" };
  const draft: Draft = { ...saved, ...changes };
  const change: ChangeDraft = (part) =>
    changeDraft(id, (now) => (typeof part === "function" ? part({ ...saved, ...now }) : part));
  const problems = problemsOf(draft);
  // Who is faster than the list of models gets its first one all the same.
  if (!assistant && changes.model === undefined) delete problems.model;
  const [isTried, setTried] = useState(false);
  const [isDeleting, setDeleting] = useState(false);
  /** Changes that were given up: what has a text of its own begins anew. */
  const [discarded, setDiscarded] = useState(0);
  const form = useRef<HTMLFormElement>(null);
  const save = useSaveAssistant();
  const choose = usePanels((state) => state.choose);
  const remove = useDeleteAssistant();

  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.reset();
    if (Object.keys(problems).length) {
      flushSync(() => setTried(true));
      const first = form.current?.querySelector<HTMLElement>("[aria-invalid], [role=alert]");
      first?.scrollIntoView({ block: "center" });
      first?.focus();
      return;
    }
    const params = paramsOf(draft, assistant?.tools);
    const changed = assistant && { id, params: changesOf(params, paramsOf(saved, assistant.tools)) };
    save.mutate(changed ?? { id: null, params }, {
      onSuccess: (assistantNow) => {
        setTried(false);
        choose("", assistantNow.id);
        // What was typed since then is not saved yet.
        if (!assistant || useDrafts.getState().changes[id] === changes) forget(id);
        if (!assistant) go({ page: "thread", threadId: null });
      },
    });
  };
  const discard = () => {
    forget(id);
    setDiscarded(discarded + 1);
    save.reset();
  };

  return (
    <form ref={form} className="editor" onSubmit={submit} noValidate>
      <Header
        title={
          <>
            <a className="icon-button" href="#/assistants" aria-label="Back to all assistants">
              <ArrowLeft size={18} aria-hidden />
            </a>
            <h1>{assistant ? assistant.name || "Assistant" : "New assistant"}</h1>
          </>
        }
      >
        {assistant && (
          <button type="button" className="icon-button" aria-label="Delete assistant" onClick={() => setDeleting(true)}>
            <Trash2 size={17} aria-hidden />
          </button>
        )}
        {isChanged && (
          <button type="button" className="button quiet" onClick={discard} title="Give up what was changed here">
            Discard
          </button>
        )}
        <button type="submit" className="button primary" disabled={save.isPending}>
          {assistant ? "Save" : "Create"}
        </button>
      </Header>
      <div className="page form">
        {save.error && <Notice kind="error">{messageOf(save.error)}</Notice>}
        {save.isSuccess && assistant && !isChanged && <Notice kind="info">Saved. Runs that start from now on use it.</Notice>}
        {assistant && (
          <p className="row dim small">
            <code className="id">{assistant.id}</code>
            <CopyButton what="assistant id" text={() => assistant.id} />
          </p>
        )}
        <Field label="Name">
          {(control) => (
            <input
              {...control}
              maxLength={256}
              value={draft.name}
              onChange={(event) => change({ name: event.target.value })}
            />
          )}
        </Field>
        <Field label="Instructions" hint="What it is, how it speaks, what it must and must not do.">
          {(control) => (
            <textarea
              {...control}
              rows={7}
              value={draft.instructions}
              onChange={(event) => change({ instructions: event.target.value })}
            />
          )}
        </Field>
        <Field label="Model" problem={isTried ? problems.model : undefined} hint="One of the server’s, or any name it answers to.">
          {(control) => (
            <>
              <input
                {...control}
                list="models"
                spellCheck={false}
                value={draft.model}
                onChange={(event) => change({ model: event.target.value })}
              />
              <datalist id="models">
                {models?.map((model) => (
                  <option key={model} value={model} />
                ))}
              </datalist>
            </>
          )}
        </Field>
        <ToolFields draft={draft} change={change} />
        <FormatFields key={discarded} draft={draft} change={change} problem={problems.formatSchema} />
        <div className="pair">
          <Field label="Temperature" hint="0 to 2; empty for 1." problem={problems.temperature}>
            {(control) => (
              <input
                {...control}
                inputMode="decimal"
                value={draft.temperature}
                onChange={(event) => change({ temperature: event.target.value })}
              />
            )}
          </Field>
          <Field label="Top P" hint="0 to 1; empty for 1." problem={problems.topP}>
            {(control) => (
              <input
                {...control}
                inputMode="decimal"
                value={draft.topP}
                onChange={(event) => change({ topP: event.target.value })}
              />
            )}
          </Field>
        </div>
        <Field label="Description" hint="For people; models do not see it.">
          {(control) => (
            <input
              {...control}
              maxLength={512}
              value={draft.description}
              onChange={(event) => change({ description: event.target.value })}
            />
          )}
        </Field>
      </div>
      {isDeleting && assistant && (
        <ConfirmDialog
          title="Delete assistant?"
          text={`“${assistant.name || assistant.id}” will be gone for good. Its threads stay.`}
          verb="Delete"
          onConfirm={async () => {
            await remove.mutateAsync(assistant.id);
            go({ page: "assistants", assistantId: null });
          }}
          onClose={() => setDeleting(false)}
        />
      )}
    </form>
  );
}
