// The newest official Node SDK through every endpoint, with its helpers. ASSISTD_URL names the server, which has
// the scripted model behind it.
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";

import OpenAI, { toFile } from "openai";

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
  const thread = await threadOf(...Array.from({ length: 32 }, (_, i) => `message ${i}`));
  const ascending = await collect(threads.messages.list(thread.id, { order: "asc", limit: 20 }));
  const words = ascending.map((message) => message.content[0].text.value);
  assert.deepEqual(words, Array.from({ length: 32 }, (_, i) => `message ${i}`));
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

const CATS = "A cat purrs when it is content, and hisses when it is not.";
const BREAD = "Bread dough must rise twice before it is baked.";
const EXPIRY = { anchor: "created_at", seconds: 3600 };
const textFile = (name, text) => toFile(Buffer.from(text), name);
const uploaded = async (name, text) =>
  (await client.files.create({ file: await textFile(name, text), purpose: "assistants" })).id;

test("files: create, wait, list, retrieve, content, delete", async () => {
  const bytes = Buffer.from("\x89PNG\r\n");
  const made = await client.files.create({ file: await toFile(bytes, "näh 文.png"), purpose: "vision" });
  assert.deepEqual([made.object, made.filename, made.bytes, made.purpose], ["file", "näh 文.png", bytes.length, "vision"]);
  assert.deepEqual(await client.files.retrieve(made.id), made);
  assert.deepEqual(await client.files.waitForProcessing(made.id, { pollInterval: 20 }), made);
  const content = await client.files.content(made.id);
  assert.deepEqual(Buffer.from(await content.arrayBuffer()), bytes);
  const folder = await mkdtemp(join(tmpdir(), "assistd-node-"));
  const ids = [];
  try {
    await writeFile(join(folder, "cats.md"), CATS);
    // From a stream of a file, from one of nobody knows what length, and from what fetch knows.
    for (const file of [
      createReadStream(join(folder, "cats.md")),
      await toFile(Readable.from([Buffer.from(CATS.slice(0, 9)), Buffer.from(CATS.slice(9))]), "cats.md"),
      new File([CATS], "cats.md"),
    ]) {
      const sent = await client.files.create({ file, purpose: "user_data", expires_after: EXPIRY });
      assert.deepEqual([sent.filename, sent.bytes, sent.expires_at], ["cats.md", CATS.length, sent.created_at + 3600]);
      ids.push(sent.id);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  const listed = await collect(client.files.list({ purpose: "user_data", order: "asc", limit: 2 }));
  assert.deepEqual(listed.map((file) => file.id), ids);
  await assert.rejects(client.files.content(ids[0]), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.message, "400 Not allowed to download files of purpose: user_data");
    return true;
  });
  for (const id of ids) assert.deepEqual(await client.files.delete(id), { id, object: "file", deleted: true });
  await assert.rejects(client.files.retrieve(ids[0]), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.deepEqual([error.message, error.param], [`404 No such File object: ${ids[0]}`, "id"]);
    return true;
  });
});

test("uploads: create, parts, complete, cancel", async () => {
  const body = { filename: "cats.md", purpose: "assistants", bytes: CATS.length, mime_type: "text/markdown" };
  const upload = await client.uploads.create(body);
  assert.deepEqual([upload.status, upload.bytes, upload.file], ["pending", CATS.length, null]);
  const parts = [];
  for (const text of [CATS.slice(20), CATS.slice(0, 20)]) {
    const part = await client.uploads.parts.create(upload.id, { data: await textFile("part", text) });
    assert.deepEqual([part.object, part.upload_id], ["upload.part", upload.id]);
    parts.push(part.id);
  }
  const done = await client.uploads.complete(upload.id, { part_ids: parts.reverse() });
  assert.deepEqual([done.status, done.file.filename, done.file.bytes], ["completed", "cats.md", CATS.length]);
  const { id } = await client.vectorStores.create({});
  const place = { vector_store_id: id };
  await client.vectorStores.files.createAndPoll(id, { file_id: done.file.id }, POLL);
  assert.deepEqual(await collect(client.vectorStores.files.content(done.file.id, place)), [{ text: CATS, type: "text" }]);
  const other = await client.uploads.create(body);
  assert.equal((await client.uploads.cancel(other.id)).status, "cancelled");
  await assert.rejects(client.uploads.complete(other.id, { part_ids: parts }), OpenAI.BadRequestError);
});

test("file search: an attachment is found, and its citation comes with the words", async () => {
  const search = { type: "file_search" };
  const fileId = await uploaded("cats.md", CATS);
  const marker = "【0:0†cats.md】";
  const attachments = [{ file_id: fileId, tools: [search] }];
  const content = `/call file_search {"query": "purr"}\n/say When content${marker}.`;
  const thread = await threads.create({ messages: [{ role: "user", content, attachments }] });
  const [asked] = (await threads.messages.list(thread.id)).data;
  assert.deepEqual(asked.attachments, attachments);
  const heard = [];
  const calls = [];
  const include = ["step_details.tool_calls[*].file_search.results[*].content"];
  const stream = threads.runs
    .stream(thread.id, { assistant_id: assistant.id, tools: [search], include })
    .on("toolCallDone", (call) => calls.push(call.type))
    .on("textDelta", (delta) => delta.annotations?.length && heard.push([delta.value, delta.annotations]));
  const run = await stream.finalRun();
  assert.equal(run.status, "completed", run.last_error?.message);
  assert.deepEqual(calls, ["file_search"]);
  const citation = { file_id: fileId, quote: CATS };
  const annotation = { type: "file_citation", text: marker, start_index: 12, end_index: 25, file_citation: citation };
  assert.deepEqual(heard, [[marker, [{ index: 0, ...annotation }]]]);
  const [message] = await stream.finalMessages();
  assert.deepEqual(message.content[0].text, { value: `When content${marker}.`, annotations: [annotation] });
  const [listed] = (await threads.messages.list(thread.id, { run_id: run.id })).data;
  assert.deepEqual(listed.content[0].text, message.content[0].text);
  const place = { thread_id: thread.id, order: "asc", include };
  const [step] = (await threads.runs.steps.list(run.id, place)).data;
  const [result] = step.step_details.tool_calls[0].file_search.results;
  assert.deepEqual([result.file_id, result.file_name, result.content], [fileId, "cats.md", [{ type: "text", text: CATS }]]);
  const { vector_store_ids } = (await threads.retrieve(thread.id)).tool_resources.file_search;
  assert.equal((await client.vectorStores.retrieve(vector_store_ids[0])).file_counts.completed, 1);
});

test("code interpreter: code, outputs, a picture and a file, as they stream and as they stay", async () => {
  const plot = "import matplotlib.pyplot as plt\nprint('before')\nplt.plot([1, 2])\nplt.show()\n6 * 7";
  const write = "open('/mnt/data/cats.md', 'w').write('purr')";
  const link = "sandbox:/mnt/data/cats.md";
  const lines = [plot, "/next", write, write].map((line) => (line === "/next" ? line : `/code ${JSON.stringify(line)}`));
  const thread = await threadOf([...lines, `/say See [it](${link}).`].join("\n"));
  const [done, pictures] = [[], []];
  const stream = threads.runs
    .stream(thread.id, { assistant_id: assistant.id, tools: [{ type: "code_interpreter" }] })
    .on("toolCallDone", (call) => done.push(call))
    .on("imageFileDone", (image) => pictures.push(image.file_id));
  const run = await stream.finalRun();
  assert.equal(run.status, "completed", run.last_error?.message);
  const steps = await collect(threads.runs.steps.list(run.id, { thread_id: thread.id, order: "asc" }));
  const accumulated = await stream.finalRunSteps();
  assert.deepEqual(accumulated.map((step) => step.step_details), steps.map((step) => step.step_details));
  const [{ input, outputs }] = steps[0].step_details.tool_calls.map((call) => call.code_interpreter);
  assert.equal(input, plot);
  assert.deepEqual(outputs.map((output) => output.logs ?? output.type), ["before\n", "image", "42"]);
  assert.equal(done[0].code_interpreter.outputs.length, 3);
  assert.deepEqual(pictures, [outputs[1].image.file_id]);
  const [message] = await stream.finalMessages();
  const [listed] = (await threads.messages.list(thread.id, { run_id: run.id })).data;
  assert.deepEqual(message.content, listed.content);
  assert.deepEqual(message.content[0], { type: "image_file", image_file: { file_id: pictures[0] } });
  const picture = Buffer.from(await (await client.files.content(pictures[0])).arrayBuffer());
  assert.equal(picture.subarray(1, 4).toString(), "PNG");
  const { value, annotations } = message.content[1].text;
  assert.equal(value.slice(annotations[0].start_index, annotations[0].end_index), link);
  assert.equal(await (await client.files.content(annotations[0].file_path.file_id)).text(), "purr");
});

test("images: an uploaded picture is sent to the model", async () => {
  const bytes = Buffer.from("\x89PNG");
  const { id } = await client.files.create({ file: await toFile(bytes, "cat.png"), purpose: "vision" });
  const content = [
    { type: "text", text: "/report" },
    { type: "image_file", image_file: { file_id: id, detail: "low" } },
  ];
  const thread = await threads.create({ messages: [{ role: "user", content }] });
  const run = await threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id }, POLL);
  const [answer, asked] = (await threads.messages.list(thread.id)).data;
  assert.equal(run.status, "completed");
  assert.deepEqual(asked.content[1], content[1]);
  const [seen] = JSON.parse(answer.content[0].text.value).messages;
  const url = `data:image/png;base64,${bytes.toString("base64")}`;
  assert.deepEqual(seen.content[1], { type: "image_url", image_url: { url, detail: "low" } });
});

test("vector stores: create, retrieve, update, list, delete", async () => {
  const made = await client.vectorStores.create({
    name: "Facts",
    description: "What is known.",
    file_ids: [await uploaded("cats.md", CATS)],
    expires_after: { anchor: "last_active_at", days: 2 },
  });
  const shown = [made.object, made.name, made.description, made.file_counts.total];
  assert.deepEqual(shown, ["vector_store", "Facts", "What is known.", 1]);
  assert.equal(made.expires_at, made.last_active_at + 2 * 86400);
  const updated = await client.vectorStores.update(made.id, { name: null, metadata: { a: "1" } });
  assert.deepEqual([updated.name, updated.metadata], [null, { a: "1" }]);
  assert.equal((await client.vectorStores.retrieve(made.id)).id, made.id);
  assert.equal((await client.vectorStores.list({ limit: 1 })).data[0].id, made.id);
  const gone = { id: made.id, object: "vector_store.deleted", deleted: true };
  assert.deepEqual(await client.vectorStores.delete(made.id), gone);
  await assert.rejects(client.vectorStores.retrieve(made.id), OpenAI.NotFoundError);
});

test("files of vector stores: every helper, attributes, content, search", async () => {
  const { id } = await client.vectorStores.create({});
  const { files } = client.vectorStores;
  const body = { file_id: await uploaded("cats.md", CATS), attributes: { kind: "animal", legs: 4 } };
  const cats = await files.createAndPoll(id, body, POLL);
  assert.deepEqual([cats.status, cats.attributes], ["completed", body.attributes]);
  const bread = await files.uploadAndPoll(id, await textFile("bread.txt", BREAD), POLL);
  assert.equal(bread.status, "completed");
  const broken = await files.upload(id, await textFile("broken.pdf", "%PDF-1.7\nnothing more"));
  assert.equal((await files.poll(id, broken.id, POLL)).status, "failed");
  const listed = await collect(files.list(id, { order: "asc", limit: 1 }));
  assert.deepEqual(listed.map((file) => file.id), [cats.id, bread.id, broken.id]);
  assert.deepEqual((await files.list(id, { filter: "failed" })).data.map((file) => file.id), [broken.id]);
  const place = { vector_store_id: id };
  const changed = await files.update(bread.id, { ...place, attributes: { kind: "food" } });
  assert.deepEqual(await files.retrieve(bread.id, place), changed);
  assert.deepEqual(await collect(files.content(cats.id, place)), [{ text: CATS, type: "text" }]);
  const [hit] = await collect(client.vectorStores.search(id, { query: "when does a cat purr" }));
  assert.deepEqual([hit.file_id, hit.filename, hit.content[0].text], [cats.id, "cats.md", CATS]);
  const filters = { type: "eq", key: "kind", value: "food" };
  const food = await collect(client.vectorStores.search(id, { query: ["cat", "dough"], filters, rewrite_query: true }));
  assert.deepEqual([...new Set(food.map((one) => one.file_id))], [bread.id]);
  const gone = { id: cats.id, object: "vector_store.file.deleted", deleted: true };
  assert.deepEqual(await files.delete(cats.id, place), gone);
  await assert.rejects(files.retrieve(cats.id, place), OpenAI.NotFoundError);
});

test("file batches: every helper, lists, cancel", async () => {
  const { id } = await client.vectorStores.create({});
  const { fileBatches } = client.vectorStores;
  const fileIds = [await uploaded("cats.md", CATS), await uploaded("bread.txt", BREAD)];
  const batch = await fileBatches.createAndPoll(id, { file_ids: fileIds, attributes: { a: 1 } }, POLL);
  assert.deepEqual([batch.object, batch.status, batch.file_counts.completed], ["vector_store.file_batch", "completed", 2]);
  const place = { vector_store_id: id };
  const listed = await collect(fileBatches.listFiles(batch.id, { ...place, order: "asc", limit: 1 }));
  assert.deepEqual(listed.map((file) => file.id), fileIds);
  assert.deepEqual(await fileBatches.cancel(batch.id, place), batch);
  assert.deepEqual(await fileBatches.retrieve(batch.id, place), batch);
  const files = [await textFile("one.md", CATS), await textFile("two.md", BREAD)];
  const other = await fileBatches.uploadAndPoll(id, { files, fileIds: fileIds.slice(0, 1) }, POLL);
  assert.deepEqual([other.status, other.file_counts.total], ["completed", 3]);
  const each = [{ file_id: fileIds[0], attributes: { b: true } }];
  const last = await fileBatches.create(id, { files: each });
  assert.equal((await fileBatches.poll(id, last.id, POLL)).status, "completed");
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
