/** Follow a run to its rest, however often the connection or the server goes away meanwhile. */
import { EventSourceParserStream } from "eventsource-parser/stream";

import { isPassing } from "../api/errors";
import { openEvents } from "../api/ours";
import type { StreamEvent } from "../api/types";

export type Connection = "connecting" | "live" | "lost" | "closed";

/** Opens a stream behind an event's id. Handed in, so that tests need no network. */
export type Open = (after: string, signal: AbortSignal) => Promise<Response>;

export interface FollowOptions {
  open: Open;
  /** The id of the last event that was seen; empty to replay from the beginning. */
  after?: string;
  signal: AbortSignal;
  onConnection?: (state: Connection) => void;
  /** Wait between attempts; a test hands in its own. */
  pause?: (attempt: number, signal: AbortSignal) => Promise<void>;
}

/** How to open the stream of a run. */
export function streamOf(threadId: string, runId: string): Open {
  return (after, signal) => openEvents(threadId, runId, after, signal);
}

/**
 * Yield a run's events, each once and in order, until the run rests.
 *
 * The server ends every stream with `done`; an `error` event or a broken connection before it means that there is more
 * to come, and the stream is opened anew behind the last event. Throws what a later try would not mend.
 */
export async function* follow(options: FollowOptions): AsyncGenerator<StreamEvent> {
  const { open, signal, onConnection = () => {}, pause = backOff } = options;
  let after = options.after ?? "";
  for (let attempt = 0; !signal.aborted; attempt++) {
    onConnection(attempt === 0 ? "connecting" : "lost");
    let isDone = false;
    try {
      const response = await open(after, signal);
      onConnection("live");
      for await (const event of eventsOf(response)) {
        if (event.event === "error") break;
        yield event;
        isDone ||= event.event === "done"; // the server closes the connection, which can then be used again
        after = event.id || after;
        attempt = 0;
      }
    } catch (error) {
      if (signal.aborted) break;
      if (!isPassing(error)) {
        onConnection("closed");
        throw error;
      }
    }
    if (isDone) break;
    onConnection("lost");
    await pause(attempt, signal);
  }
  onConnection("closed");
}

async function* eventsOf(response: Response): AsyncGenerator<StreamEvent> {
  if (!response.body) return;
  const reader = response.body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array<ArrayBuffer>>)
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const event = value.event ?? "message";
      const data: unknown = event === "done" ? value.data : JSON.parse(value.data);
      yield { id: value.id ?? "", event, data, at: Date.now() };
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}

/** Wait longer from attempt to attempt, up to three seconds; less where the browser says that the network is back. */
function backOff(attempt: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      window.removeEventListener("online", wake);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, Math.min(250 * 2 ** attempt, 3000));
    window.addEventListener("online", wake);
    signal.addEventListener("abort", wake);
  });
}
