// The newest official Node SDK through every endpoint, with its helpers. ASSISTD_URL names the server, which has
// the scripted model behind it.
import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.ASSISTD_URL, apiKey: "sk-node", maxRetries: 0 });
const { assistants, threads } = client.beta;
const POLL = { pollIntervalMs: 20 };
const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
const PARIS = '/call get_weather {"city": "Paris"}';
const OSLO = '/call get_weather {"city": "Oslo"}';

const assistant = await assistants.create({ model: "scripted", name: "Node" });

const threadOf = (...messages) => threads.create({ messages: messages.map((content) => ({ role: "user", content })) });
const outputsOf = (run) =>
  run.required_action.submit_tool_outputs.tool_calls.map((call) => ({
    tool_call_id: call.id,
    output: `sunny in ${JSON.parse(call.function.arguments).city}`,
  }));
const collect = async (iterable) => {
  const found = [];
  for await (const item of iterable) found.push(item);
  return found;
};

test("assistants: create, retrieve, update, list, delete", async () => {
  const made = await assistants.create({ model: "scripted", metadata: { a: "1" }, tools: [WEATHER], temperature: 0 });
  assert.equal(made.object, "assistant");
  assert.equal(made.temperature, 0);
  assert.deepEqual(made.tools[0].function.strict, false);
  const updated = await assistants.update(made.id, { name: "Renamed" });
  assert.deepEqual([updated.id, updated.name, updated.metadata], [made.id, "Renamed", { a: "1" }]);
  assert.deepEqual(await assistants.retrieve(made.id), updated);
  const listed = await assistants.list({ limit: 5 });
  assert.ok(listed.data.some((one) => one.id === made.id));
  assert.deepEqual(await assistants.delete(made.id), { id: made.id, object: "assistant.deleted", deleted: true });
});

test("pages: for await goes through all of them, both ways", async () => {
  const thread = await threadOf(...Array.from({ length: 45 }, (_, i) => `message ${i}`));
  const ascending = await collect(threads.messages.list(thread.id, { order: "asc", limit: 20 }));
  const words = ascending.map((message) => message.content[0].text.value);
  assert.deepEqual(words, Array.from({ length: 45 }, (_, i) => `message ${i}`));
  const descending = await collect(threads.messages.list(thread.id, { limit: 7 }));
  assert.deepEqual(descending.map((message) => message.id), ascending.map((message) => message.id).reverse());
  const beyond = await threads.messages.list(thread.id, { after: ascending[0].id });
  assert.deepEqual([beyond.data, beyond.has_more], [[], false]);
});

test("messages: create with parts, retrieve, update, delete", async () => {
  const thread = await threads.create({ metadata: { topic: "parts" } });
  const message = await threads.messages.create(thread.id, {
    role: "user",
    content: [
      { type: "text", text: "what is this?" },
      { type: "image_url", image_url: { url: "https://example.com/cat.png" } },
    ],
  });
  assert.deepEqual(message.content[1].image_url, { url: "https://example.com/cat.png", detail: "auto" });
  const updated = await threads.messages.update(message.id, { thread_id: thread.id, metadata: { seen: "yes" } });
  assert.deepEqual(updated.metadata, { seen: "yes" });
  assert.equal((await threads.messages.retrieve(message.id, { thread_id: thread.id })).id, message.id);
  const deleted = await threads.messages.delete(message.id, { thread_id: thread.id });
  assert.deepEqual(deleted, { id: message.id, object: "thread.message.deleted", deleted: true });
  assert.deepEqual((await threads.update(thread.id, { metadata: {} })).metadata, {});
  assert.equal((await threads.delete(thread.id)).deleted, true);
});

test("runs: createAndPoll, retrieve, list, steps, update", async () => {
  const thread = await threadOf("hello from node");
  const run = await threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id }, POLL);
  assert.equal(run.status, "completed");
  assert.equal(run.usage.total_tokens, run.usage.prompt_tokens + run.usage.completion_tokens);
  const [answer] = (await threads.messages.list(thread.id, { run_id: run.id })).data;
  assert.equal(answer.content[0].text.value, "echo: hello from node");
  const [step] = await collect(threads.runs.steps.list(run.id, { thread_id: thread.id }));
  assert.equal(step.step_details.message_creation.message_id, answer.id);
  const place = { thread_id: thread.id, run_id: run.id };
  assert.equal((await threads.runs.steps.retrieve(step.id, place)).status, "completed");
  assert.deepEqual((await threads.runs.list(thread.id)).data.map((one) => one.id), [run.id]);
  const marked = await threads.runs.update(run.id, { thread_id: thread.id, metadata: { by: "node" } });
  assert.deepEqual(marked.metadata, { by: "node" });
});

test("createAndRunPoll and submitToolOutputsAndPoll, with parallel calls", async () => {
  const messages = [{ role: "user", content: `${PARIS}\n${OSLO}` }];
  const body = { assistant_id: assistant.id, tools: [WEATHER], thread: { messages } };
  let run = await threads.createAndRunPoll(body, POLL);
  assert.equal(run.status, "requires_action");
  assert.equal(run.required_action.submit_tool_outputs.tool_calls.length, 2);
  const outputs = { thread_id: run.thread_id, tool_outputs: outputsOf(run) };
  run = await threads.runs.submitToolOutputsAndPoll(run.id, outputs, POLL);
  assert.equal(run.status, "completed");
  const [answer] = (await threads.messages.list(run.thread_id)).data;
  assert.equal(answer.content[0].text.value, "RESULT: sunny in Paris | sunny in Oslo");
});

test("stream: handlers hear the whole answer, and the final objects are those of the lists", async () => {
  const thread = await threadOf("/tokens 12");
  const heard = { deltas: "", created: 0, done: 0, events: [] };
  const stream = threads.runs
    .stream(thread.id, { assistant_id: assistant.id })
    .on("textCreated", () => heard.created++)
    .on("textDelta", (delta) => (heard.deltas += delta.value))
    .on("textDone", () => heard.done++)
    .on("event", (event) => heard.events.push(event.event));
  const run = await stream.finalRun();
  const [message] = await stream.finalMessages();
  const [step] = await stream.finalRunSteps();
  assert.equal(run.status, "completed");
  assert.equal(step.status, "completed");
  assert.deepEqual([heard.created, heard.done], [1, 1]);
  assert.equal(heard.deltas, message.content[0].text.value);
  assert.deepEqual(heard.events.slice(0, 3), ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]);
  const [listed] = (await threads.messages.list(thread.id)).data;
  assert.deepEqual(listed.content[0].text, message.content[0].text);
});

test("submitToolOutputsStream: arguments come piece by piece, then the answer", async () => {
  const thread = await threadOf(`/preamble Let me look.\n${PARIS}`);
  const calls = [];
  const first = threads.runs
    .stream(thread.id, { assistant_id: assistant.id, tools: [WEATHER] })
    .on("toolCallCreated", (call) => calls.push({ name: call.function.name, pieces: 0 }))
    .on("toolCallDelta", () => calls[0].pieces++);
  const run = await first.finalRun();
  assert.equal(run.status, "requires_action");
  assert.equal(calls[0].name, "get_weather");
  assert.ok(calls[0].pieces > 1);
  const body = { thread_id: thread.id, tool_outputs: outputsOf(run) };
  const second = threads.runs.submitToolOutputsStream(run.id, body);
  const words = [];
  second.on("textDelta", (delta) => words.push(delta.value));
  assert.equal((await second.finalRun()).status, "completed");
  assert.equal(words.join(""), "RESULT: sunny in Paris");
  const said = await collect(threads.messages.list(thread.id, { order: "asc" }));
  assert.deepEqual(said.slice(1).map((message) => message.content[0].text.value), [
    "Let me look.",
    "RESULT: sunny in Paris",
  ]);
});

test("stream: every handler is called, in order, for text and for calls", async () => {
  const NAMES = [
    ...["messageCreated", "messageDelta", "messageDone", "runStepCreated", "runStepDelta", "runStepDone"],
    ...["toolCallCreated", "toolCallDelta", "toolCallDone", "textCreated", "textDelta", "textDone", "run", "end"],
  ];
  const diaryOf = async (stream) => {
    const called = [];
    for (const name of NAMES) stream.on(name, () => called.push(name));
    await stream.done();
    return called.filter((name, at) => name !== called[at - 1]);
  };
  const thread = await threadOf(`${PARIS}\n${OSLO}\n/say one`);
  const first = threads.runs.stream(thread.id, { assistant_id: assistant.id, tools: [WEATHER] });
  const calls = await diaryOf(first);
  assert.equal(calls[0], "runStepCreated");
  assert.deepEqual(
    calls.filter((name) => ["toolCallCreated", "toolCallDone", "run", "end"].includes(name)),
    ["toolCallCreated", "toolCallDone", "toolCallCreated", "toolCallDone", "run", "end"],
  );
  assert.ok(calls.includes("toolCallDelta") && calls.includes("runStepDelta"));
  const run = await first.finalRun();
  const body = { thread_id: thread.id, tool_outputs: outputsOf(run) };
  const text = await diaryOf(threads.runs.submitToolOutputsStream(run.id, body));
  assert.deepEqual(
    text.filter((name) => !name.endsWith("Delta")),
    ["runStepDone", "runStepCreated", "messageCreated", "textCreated", "textDone", "messageDone", "runStepDone", "run", "end"],
  );
});

test("raw streams and runs without helpers", async () => {
  const thread = await threads.create();
  assert.deepEqual((await threads.retrieve(thread.id)).tool_resources, { code_interpreter: { file_ids: [] } });
  await threads.messages.create(thread.id, { role: "user", content: `${PARIS}\n/say one` });
  const options = { assistant_id: assistant.id, tools: [WEATHER] };
  const first = await collect(await threads.runs.create(thread.id, { ...options, stream: true }));
  const run = first.at(-1).data;
  assert.equal(first.at(-1).event, "thread.run.requires_action");
  const outputs = { thread_id: thread.id, tool_outputs: outputsOf(run) };
  const second = await collect(await threads.runs.submitToolOutputs(run.id, { ...outputs, stream: true }));
  assert.deepEqual([second[0].event, second.at(-1).event], ["thread.run.step.completed", "thread.run.completed"]);
  const other = await threads.createAndRun({ ...options, thread: { messages: [{ role: "user", content: PARIS }] } });
  assert.equal(other.status, "queued");
  const waiting = await threads.runs.poll(other.id, { thread_id: other.thread_id }, POLL);
  const queued = await threads.runs.submitToolOutputs(waiting.id, {
    thread_id: waiting.thread_id,
    tool_outputs: outputsOf(waiting),
  });
  assert.equal(queued.status, "queued");
  assert.equal((await threads.runs.poll(other.id, { thread_id: other.thread_id }, POLL)).status, "completed");
});

test("a run that its token budget cuts ends incomplete, and its stream with it", async () => {
  const thread = await threadOf("/tokens 40");
  const stream = threads.runs.stream(thread.id, { assistant_id: assistant.id, max_completion_tokens: 16 });
  const run = await stream.finalRun();
  assert.deepEqual([run.status, run.incomplete_details], ["incomplete", { reason: "max_completion_tokens" }]);
  const [message] = await stream.finalMessages();
  assert.deepEqual([message.status, message.incomplete_details], ["incomplete", { reason: "max_tokens" }]);
  assert.equal(message.content[0].text.value.trim().split(" ").length, 16);
});

test("createAndRunStream begins with the thread", async () => {
  const thread = { messages: [{ role: "user", content: "hi" }] };
  const events = await collect(threads.createAndRunStream({ assistant_id: assistant.id, thread }));
  assert.equal(events[0].event, "thread.created");
  assert.equal(events.at(-1).event, "thread.run.completed");
});

test("cancel: a streaming run ends, and its stream with it", async () => {
  const thread = await threadOf("/tokens 5000\n/pace 0 5");
  const stream = threads.runs.stream(thread.id, { assistant_id: assistant.id });
  const begun = new Promise((resolve) => stream.once("textDelta", resolve));
  const finished = stream.finalRun();
  await begun;
  const [run] = (await threads.runs.list(thread.id)).data;
  assert.equal((await threads.runs.cancel(run.id, { thread_id: thread.id })).status, "cancelling");
  assert.equal((await finished).status, "cancelled");
  await threads.messages.create(thread.id, { role: "user", content: "the thread is free" });
});

test("chat completions, plain and streamed; embeddings; models", async () => {
  const messages = [{ role: "user", content: "pass through" }];
  const whole = await client.chat.completions.create({ model: "scripted", messages });
  assert.equal(whole.choices[0].message.content, "echo: pass through");
  const chunks = await collect(await client.chat.completions.create({ model: "scripted", messages, stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join(""), "echo: pass through");
  const embedded = await client.embeddings.create({ model: "scripted", input: ["one", "two"] });
  assert.equal(embedded.data.length, 2);
  const names = (await collect(client.models.list())).map((model) => model.id);
  assert.ok(names.includes("scripted"));
  assert.equal((await client.models.retrieve("scripted")).id, "scripted");
});

test("errors are the SDK's own classes", async () => {
  await assert.rejects(assistants.retrieve("asst_none"), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.message, "404 No assistant found with id 'asst_none'.");
    assert.match(error.requestID, /^req_[0-9a-f]{32}$/);
    return true;
  });
  await assert.rejects(assistants.create({ model: "scripted", temperature: 3 }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.deepEqual([error.param, error.code], ["temperature", "decimal_above_max_value"]);
    return true;
  });
  const noKey = { Authorization: null };
  await assert.rejects(assistants.list({}, { headers: noKey }), OpenAI.AuthenticationError);
});
