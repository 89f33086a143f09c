import { APIConnectionError, APIError } from "openai";

import { useKey } from "./key";

/** Say in a sentence what went wrong. */
export function messageOf(error: unknown): string {
  if (error instanceof APIConnectionError) return "The server cannot be reached.";
  if (isMissingKey(error)) {
    return useKey.getState().key ? "The server does not accept this API key." : "This server needs an API key.";
  }
  if (error instanceof APIError) return unwrapped(error as APIError);
  return error instanceof Error ? error.message : String(error);
}

/** Whether the server wants a key, or another one, or says that none would help. */
export function wantsKey(error: unknown): error is APIError {
  return error instanceof APIError && (error.status === 401 || error.status === 403);
}

/** Whether the key is missing or wrong: the API's own words for it speak of keys of another service. */
export function isMissingKey(error: unknown): boolean {
  return error instanceof APIError && error.status === 401;
}

/** Whether what was asked for is not there: it was deleted, or never was. */
export function isMissing(error: unknown): boolean {
  if (!(error instanceof APIError)) return false;
  const isNoId = error.status === 400 && error.code === "invalid_value" && /_id$/.test(error.param ?? "");
  return error.status === 404 || isNoId;
}

/** Whether a later try may succeed: the network or the server was away. */
export function isPassing(error: unknown): boolean {
  if (error instanceof APIConnectionError) return true;
  if (error instanceof APIError) return error.status === undefined || error.status >= 500 || error.status === 429;
  return error instanceof TypeError; // what a browser throws when a body breaks off
}

function unwrapped(error: APIError): string {
  const body: { message?: unknown } | undefined = error.error;
  if (typeof body?.message === "string" && body.message) return body.message;
  // Not the API's answer but, say, the page of a proxy.
  return error.status ? `The server answered with an error (${error.status}).` : error.message;
}
