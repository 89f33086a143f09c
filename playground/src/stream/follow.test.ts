// @vitest-environment jsdom
import { APIConnectionError, APIError } from "openai";
import { expect, test } from "vitest";

import { type Connection, follow, type Open } from "./follow";

function stream(...frames: string[]): Response {
  return new Response(frames.join(""), { headers: { "content-type": "text/event-stream" } });
}

const said = (id: string) => `event: thread.message.delta\nid: ${id}\ndata: {"n": "${id}"}\n\n`;
const DONE = "event: done\ndata: [DONE]\n\n";
const ERROR = 'event: error\ndata: {"error": {"message": "The server is shutting down."}}\n\n';

/** Follow what these answers bring, one an attempt. */
async function all(answers: (() => Response)[], after = "") {
  const asked: string[] = [];
  const states: Connection[] = [];
  const open: Open = (from) => {
    asked.push(from);
    return Promise.resolve().then(answers.shift());
  };
  const signal = new AbortController().signal;
  const ids: string[] = [];
  for await (const event of follow({
    open,
    after,
    signal,
    onConnection: (state) => states.push(state),
    pause: () => Promise.resolve(),
  })) {
    ids.push(event.id || event.event);
  }
  return { asked, ids, states };
}

test("follows to done", async () => {
  const { asked, ids, states } = await all([() => stream(said("1-1"), ": still here\n\n", said("1-2"), DONE)]);
  expect(ids).toEqual(["1-1", "1-2", "done"]);
  expect(asked).toEqual([""]);
  expect(states).toEqual(["connecting", "live", "closed"]);
});

test("goes on behind the last event when the connection breaks, the server ends or is away", async () => {
  const { asked, ids, states } = await all(
    [
      () => stream(said("1-5"), said("1-6")),
      () => stream(said("1-7"), ERROR, DONE),
      () => {
        throw new APIConnectionError({ message: "refused" });
      },
      () => stream(said("2-1"), DONE),
    ],
    "1-4",
  );
  expect(asked).toEqual(["1-4", "1-6", "1-7", "1-7"]);
  expect(ids).toEqual(["1-5", "1-6", "1-7", "2-1", "done"]);
  expect(states).toContain("lost");
});

test("gives up where another try would not help", async () => {
  const gone = () => {
    throw APIError.generate(404, { error: { message: "No run" } }, undefined, new Headers());
  };
  await expect(all([gone])).rejects.toThrow("No run");
});
