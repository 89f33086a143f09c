import { APIConnectionError, APIError } from "openai";

/** Say in a sentence what went wrong. */
export function messageOf(error: unknown): string {
  if (error instanceof APIConnectionError) return "The server cannot be reached.";
  if (error instanceof APIError) return unwrapped(error as APIError);
  return error instanceof Error ? error.message : String(error);
}

/** Whether the server wants a key, or another one. */
export function wantsKey(error: unknown): error is APIError {
  return error instanceof APIError && (error.status === 401 || error.status === 403);
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
