/** The calls that assistd adds to the API, made through the official client. */
import { api, clientOf } from "./client";
import type { Prompt, Thread } from "./types";

export interface Page<T> {
  data: T[];
  has_more: boolean;
  last_id: string | null;
}

/** Ask for something with this key. Rejects as the server does. */
export async function tryKey(key: string): Promise<void> {
  await clientOf(key).get("/threads", { query: { limit: 1 }, headers: BETA });
}

/** One page of threads, newest first; `text` must be in one of a thread's metadata values. */
export function listThreads(text: string, after: string | undefined): Promise<Page<Thread>> {
  const query = { limit: 30, ...(text && { q: text }), ...(after && { after }) };
  return api().get("/threads", { query, headers: BETA });
}

/** What was sent to the model, turn by turn. */
export async function listPrompts(threadId: string, runId: string): Promise<Prompt[]> {
  const path = `/threads/${encodeURIComponent(threadId)}/runs/${encodeURIComponent(runId)}/prompts`;
  const prompts: Prompt[] = [];
  let after: string | undefined;
  for (;;) {
    const page: Page<Prompt> = await api().get<Page<Prompt>>(path, {
      query: { limit: 20, ...(after && { after }) }, // prompts are long: a page is a short one
      headers: BETA,
    });
    prompts.push(...page.data);
    if (!page.has_more || !page.last_id || page.last_id === after) return prompts.sort((a, b) => a.turn - b.turn);
    after = page.last_id;
  }
}

/** Open a run's stream behind the event of this id, or from its beginning. */
export function openEvents(threadId: string, runId: string, after: string, signal: AbortSignal): Promise<Response> {
  const path = `/threads/${encodeURIComponent(threadId)}/runs/${encodeURIComponent(runId)}/events`;
  return api()
    .get(path, {
      headers: { ...BETA, Accept: "text/event-stream", ...(after && { "Last-Event-ID": after }) },
      signal,
      maxRetries: 0, // who follows a stream has a patience of its own
    })
    .asResponse();
}

const BETA = { "OpenAI-Beta": "assistants=v2" };
