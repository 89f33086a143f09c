/**
 * One open thread: what is known of it, and what can be done with it.
 *
 * Data flows one way: actions call the API and follow streams; events change the view; components show it. A
 * conversation goes on while another thread is looked at, until `close`.
 */
import type { APIError } from "openai";
import { createStore, type StoreApi } from "zustand/vanilla";

import { api } from "../api/client";
import { isMissing, isPassing, messageOf, wantsKey } from "../api/errors";
import { gather } from "../api/gather";
import { isMoving } from "../api/states";
import type { Run, StreamEvent } from "../api/types";
import { accumulate, put, type View } from "../stream/accumulate";
import { type Connection, follow, streamOf } from "../stream/follow";
import { atNextFrame } from "./frame";
import type { NewMessage } from "./message";
import { opened } from "./opened";

/** Messages a page: the newest page opens the thread, the others come as they are scrolled to. */
const PAGE = 100;
const REOPEN_MILLISECONDS = 1500;
/** Of so many of the newest runs the tool calls are shown when a thread is opened; of others once they are inspected. */
const RECENT_RUNS = 8;
/** Of so many runs the events are kept; those of others are asked for again when they are looked at. */
const RUNS_WITH_EVENTS = 6;

type EventsByRun = Readonly<Record<string, readonly StreamEvent[]>>;

/** How far the reading of something is; undefined before it is asked for. */
export type Reading = "reading" | "read" | "failed";

export interface ConversationState {
  threadId: string;
  /** `missing`: there is no such thread, or not any more. */
  phase: "opening" | "open" | "failed" | "missing";
  /** Why it could not be opened, or what went wrong last. */
  problem: string | null;
  view: View;
  hasOlder: boolean;
  isLoadingOlder: boolean;
  /** By run, as they came, of the runs that were looked at last. */
  events: EventsByRun;
  connection: Connection;
  /** By run, what was asked for beside its stream. */
  steps: Readonly<Record<string, Reading>>;
  replays: Readonly<Record<string, Reading>>;
  /** When runs were asked for, of those that this page asked for: in milliseconds since 1970. */
  asked: Readonly<Record<string, number>>;
  /** What is typed for functions' outputs, by call: it outlasts the form, which leaves the page when scrolled away. */
  outputs: Readonly<Record<string, string>>;
  /** A message is being sent, before its run exists. */
  isSending: boolean;
}

export interface Conversation {
  store: StoreApi<ConversationState>;
  open: () => Promise<void>;
  /** Take over what others did meanwhile: another page, or a program. */
  refresh: () => Promise<void>;
  loadOlder: () => Promise<void>;
  /** Put a message on the thread and run the assistant. Rejects if the message could not be put there. */
  send: (message: NewMessage, assistantId: string) => Promise<void>;
  run: (assistantId: string) => Promise<void>;
  stop: () => Promise<void>;
  typeOutput: (callId: string, output: string) => void;
  /** Give what was typed for these calls. */
  submitOutputs: (runId: string, callIds: readonly string[]) => Promise<void>;
  loadSteps: (runId: string) => Promise<void>;
  /** Read all events of a run that is not being followed. */
  replay: (runId: string) => Promise<void>;
  dismiss: () => void;
  close: () => void;
}

/** The run that was created last, if the thread has any. */
export function latestRun(view: View): Run | null {
  let latest: Run | null = null;
  for (const { run } of Object.values(view.runs)) {
    if (!latest || run.created_at >= latest.created_at) latest = run;
  }
  return latest;
}

function withEvents(known: EventsByRun, runId: string, events: readonly StreamEvent[]): EventsByRun {
  const all = Object.entries({ ...known, [runId]: events });
  return Object.fromEntries(all.slice(-RUNS_WITH_EVENTS));
}

export interface Surroundings {
  /** What a list of threads shows may have changed. */
  onChanged: () => void;
  /** The server wants a key, or another one. */
  onRefused: (error: APIError) => void;
}

export function createConversation(threadId: string, { onChanged, onRefused }: Surroundings): Conversation {
  const threads = api().beta.threads;
  const closing = new AbortController();
  const followed = new Map<string, AbortController>();
  /** Stop was asked for before the run was there. */
  let isStopWanted = false;
  const store = createStore<ConversationState>(() => ({
    threadId,
    phase: "opening",
    problem: null,
    view: { messages: [], runs: {} },
    hasOlder: false,
    isLoadingOlder: false,
    events: {},
    connection: "closed",
    steps: {},
    replays: {},
    asked: {},
    outputs: {},
    isSending: false,
  }));
  const set = (change: Partial<ConversationState>) => store.setState(change);
  const changeView = (to: (view: View) => View) => store.setState((state) => ({ view: to(state.view) }));
  const fail = (error: unknown) => {
    if (closing.signal.aborted) return;
    set({ problem: messageOf(error) });
    if (wantsKey(error)) onRefused(error);
  };
  /** What this page knows may be the reason: somebody else ran the assistant, or gave it what it waited for. */
  const failAction = (error: unknown) => {
    fail(error);
    void refresh();
  };
  const endSending = () => {
    isStopWanted = false;
    set({ isSending: false });
  };
  const putRun = (run: Run) =>
    changeView((view) => ({
      ...view,
      runs: { ...view.runs, [run.id]: { run, steps: view.runs[run.id]?.steps ?? [] } },
    }));

  async function open(): Promise<void> {
    set({ phase: "opening", problem: null });
    try {
      await read();
    } catch (error) {
      if (closing.signal.aborted) return;
      fail(error);
      set({ phase: isMissing(error) ? "missing" : "failed" });
      if (isPassing(error)) setTimeout(() => !closing.signal.aborted && void open(), REOPEN_MILLISECONDS);
    }
  }

  async function refresh(): Promise<void> {
    // Whatever is followed is read to its end, and what is sent is put behind what is there.
    if (store.getState().phase !== "open" || store.getState().isSending || followed.size) return;
    try {
      await read();
    } catch (error) {
      if (isMissing(error)) set({ phase: "missing", problem: null });
      else if (!isPassing(error)) fail(error);
    }
  }

  async function read(): Promise<void> {
    const options = { signal: closing.signal };
    // One after the other: the words of a run that is listed as completed are then among the messages.
    const runs = await threads.runs.list(threadId, { limit: PAGE, order: "desc" }, options);
    const messages = await threads.messages.list(threadId, { limit: PAGE, order: "desc" }, options);
    store.setState(({ view, hasOlder }) => {
      const joined = opened(view, messages.data.toReversed(), runs.data.toReversed());
      const isBehindOlder = joined.messages[0]?.id !== messages.data.at(-1)?.id;
      return { phase: "open", view: joined, hasOlder: isBehindOlder ? hasOlder : messages.has_more };
    });
    const { view } = store.getState();
    const latest = latestRun(view);
    for (const { run, steps } of Object.values(view.runs).slice(-RECENT_RUNS)) {
      if (isMoving(run.status)) void followRun(run.id);
      else if (!steps.length || run === latest) void loadSteps(run.id);
    }
  }

  async function loadOlder(): Promise<void> {
    const { hasOlder, isLoadingOlder, view } = store.getState();
    const first = view.messages[0];
    if (!hasOlder || isLoadingOlder || !first) return;
    set({ isLoadingOlder: true });
    try {
      const page = await threads.messages.list(
        threadId,
        { limit: PAGE, order: "desc", after: first.id },
        { signal: closing.signal },
      );
      changeView((now) => ({ ...now, messages: [...page.data.toReversed(), ...now.messages] }));
      set({ hasOlder: page.has_more });
    } catch (error) {
      fail(error);
    } finally {
      set({ isLoadingOlder: false });
    }
  }

  async function send(message: NewMessage, assistantId: string): Promise<void> {
    set({ isSending: true, problem: null });
    try {
      const created = await threads.messages.create(threadId, message);
      changeView((view) => ({ ...view, messages: put(view.messages, created) }));
    } catch (error) {
      endSending();
      failAction(error);
      throw error;
    }
    await run(assistantId);
  }

  async function run(assistantId: string): Promise<void> {
    set({ isSending: true, problem: null });
    try {
      const at = Date.now();
      const created = await threads.runs.create(threadId, { assistant_id: assistantId });
      putRun(created);
      store.setState((state) => ({ asked: { ...state.asked, [created.id]: at } }));
      void followRun(created.id);
      if (isStopWanted) await cancel(created.id);
      endSending();
    } catch (error) {
      endSending();
      failAction(error);
    }
  }

  async function stop(): Promise<void> {
    const { isSending, view } = store.getState();
    isStopWanted = isSending;
    const current = isSending ? null : latestRun(view);
    if (current) await cancel(current.id);
  }

  async function cancel(runId: string): Promise<void> {
    try {
      putRun(await threads.runs.cancel(runId, { thread_id: threadId }));
      void followRun(runId);
    } catch (error) {
      failAction(error);
    }
  }

  function typeOutput(callId: string, output: string): void {
    store.setState(({ outputs }) => ({ outputs: { ...outputs, [callId]: output } }));
  }

  async function submitOutputs(runId: string, callIds: readonly string[]): Promise<void> {
    set({ problem: null });
    try {
      const { outputs } = store.getState();
      const tool_outputs = callIds.map((id) => ({ tool_call_id: id, output: outputs[id] ?? "" }));
      putRun(await threads.runs.submitToolOutputs(runId, { thread_id: threadId, tool_outputs }));
      void followRun(runId);
    } catch (error) {
      failAction(error);
    }
  }

  /** Follow a run behind what is known of it, unless it is followed already. */
  async function followRun(runId: string): Promise<void> {
    if (followed.has(runId)) return;
    const ending = new AbortController();
    followed.set(runId, ending);
    const signal = AbortSignal.any([ending.signal, closing.signal]);
    const known = store.getState().events[runId] ?? [];
    const after = known.findLast((event) => event.id)?.id ?? "";
    const frames = atNextFrame<StreamEvent>((events) => takeIn(runId, events));
    try {
      const onConnection = (connection: Connection) => set({ connection });
      for await (const event of follow({ open: streamOf(threadId, runId), after, signal, onConnection })) {
        frames.push(event);
      }
    } catch (error) {
      fail(error);
    } finally {
      frames.flush();
      followed.delete(runId);
    }
    if (!signal.aborted) await settle(runId);
  }

  function takeIn(runId: string, events: readonly StreamEvent[]): void {
    store.setState((state) => ({
      view: events.reduce(accumulate, state.view),
      events: withEvents(state.events, runId, [...(state.events[runId] ?? []), ...events]),
    }));
  }

  /** Take over what the API says of a run that rests: its usage, and the words of its search results. */
  async function settle(runId: string): Promise<void> {
    try {
      const options = { signal: closing.signal };
      const [run] = await Promise.all([
        threads.runs.retrieve(runId, { thread_id: threadId }, options),
        loadSteps(runId),
      ]);
      putRun(run);
      onChanged();
      if (isMoving(run.status)) void followRun(runId); // somebody else gave it what it waited for
    } catch (error) {
      fail(error);
    }
  }

  async function loadSteps(runId: string): Promise<void> {
    const note = (reading: Reading) => store.setState(({ steps }) => ({ steps: { ...steps, [runId]: reading } }));
    note("reading");
    try {
      const include = ["step_details.tool_calls[*].file_search.results[*].content" as const];
      const query = { thread_id: threadId, order: "asc" as const, limit: PAGE, include };
      const steps = await gather(threads.runs.steps.list(runId, query, { signal: closing.signal }));
      changeView((view) => {
        const of = view.runs[runId];
        return of ? { ...view, runs: { ...view.runs, [runId]: { ...of, steps } } } : view;
      });
      note("read");
    } catch (error) {
      note("failed");
      fail(error);
    }
  }

  async function replay(runId: string): Promise<void> {
    if (followed.has(runId) || store.getState().events[runId]) return;
    const note = (reading: Reading) => store.setState(({ replays }) => ({ replays: { ...replays, [runId]: reading } }));
    note("reading");
    const events: StreamEvent[] = [];
    try {
      const signal = closing.signal;
      for await (const event of follow({ open: streamOf(threadId, runId), signal })) events.push(event);
      store.setState((state) => ({ events: withEvents(state.events, runId, state.events[runId] ?? events) }));
      note("read");
    } catch (error) {
      note("failed");
      fail(error);
    }
  }

  return {
    store,
    open,
    refresh,
    loadOlder,
    send,
    run,
    stop,
    typeOutput,
    submitOutputs,
    loadSteps,
    replay,
    dismiss: () => set({ problem: null }),
    close: () => closing.abort(),
  };
}

