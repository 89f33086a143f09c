import { ArrowLeft, Trash2 } from "lucide-react";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { messageOf } from "../api/errors";
import type { Assistant } from "../api/types";
import { Header } from "../app/Header";
import { usePanels } from "../app/panels";
import { go } from "../app/route";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { CopyButton } from "../ui/CopyButton";
import { Field } from "../ui/Field";
import { Notice } from "../ui/Notice";
import { type Draft, draftOf, EMPTY, paramsOf, problemsOf } from "./draft";
import { FormatFields } from "./FormatFields";
import { modelsQuery, useDeleteAssistant, useModels, useSaveAssistant } from "./queries";
import { firstModel } from "./starter";
import { ToolFields } from "./ToolFields";

export type ChangeDraft = (change: Partial<Draft>) => void;

/** An assistant as a form. */
export function AssistantEditor({ assistant }: { assistant: Assistant | null }) {
  const { data: models } = useModels();
  const [draft, setDraft] = useState<Draft>(() => (assistant ? draftOf(assistant) : EMPTY));
  const [formatProblem, setFormatProblem] = useState<string | null>(null);
  const [isDeleting, setDeleting] = useState(false);
  const [isTried, setTried] = useState(false);
  const save = useSaveAssistant();
  const remove = useDeleteAssistant();
  const choose = usePanels((state) => state.choose);
  // A new assistant begins with a model that is there, as soon as that is known.
  const [isModelTouched, setModelTouched] = useState(false);
  const whole: Draft = isModelTouched || draft.model || assistant ? draft : { ...draft, model: models ? firstModel(models) : "" };
  const problems = problemsOf(whole);
  const change: ChangeDraft = (part) => {
    setDraft((now) => ({ ...now, ...part }));
    save.reset();
  };

  const queries = useQueryClient();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    // Who is faster than the list of models gets its first one all the same.
    const isKnown = whole.model || assistant || isModelTouched;
    const model = isKnown ? whole.model : firstModel(await queries.ensureQueryData(modelsQuery).catch(() => []));
    const complete = { ...whole, model };
    if (Object.keys(problemsOf(complete)).length || (draft.format === "json_schema" && formatProblem)) return;
    save.mutate(
      { id: assistant?.id ?? null, params: paramsOf(complete, assistant?.tools) },
      {
        onSuccess: (saved) => {
          setTried(false);
          choose("", saved.id);
          if (!assistant) go({ page: "thread", threadId: null });
        },
      },
    );
  };

  return (
    <form className="editor" onSubmit={(event) => void submit(event)} noValidate>
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
        <button type="submit" className="button primary" disabled={save.isPending}>
          {assistant ? "Save" : "Create"}
        </button>
      </Header>
      <div className="page form">
        {save.error && <Notice kind="error">{messageOf(save.error)}</Notice>}
        {save.isSuccess && assistant && <Notice kind="info">Saved. Runs that start from now on use it.</Notice>}
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
        <Field label="Model" problem={isTried ? problems.model : null} hint="One of the server’s, or any name it answers to.">
          {(control) => (
            <>
              <input
                {...control}
                list="models"
                spellCheck={false}
                value={whole.model}
                onChange={(event) => {
                  setModelTouched(true);
                  change({ model: event.target.value });
                }}
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
        <FormatFields draft={draft} change={change} onProblem={setFormatProblem} problem={formatProblem} />
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
