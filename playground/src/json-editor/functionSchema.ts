/** What a function has to look like, as JSON Schema. The API says the rest, such as names that are taken twice. */
import { Validator, type Schema } from "@cfworker/json-schema";

import { metaSchema } from "./metaSchema";

// An interpreter: validators that compile to a function would need `eval`, which the content security policy refuses.
const FUNCTION: Schema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  type: "object",
  required: ["name"],
  additionalProperties: false,
  properties: {
    name: { type: "string", pattern: "^[a-zA-Z0-9_-]{1,64}$" },
    description: { type: "string" },
    parameters: { allOf: [{ $ref: metaSchema.$id! }, { type: "object" }] },
    strict: { type: ["boolean", "null"] },
  },
};

const RESPONSE_FORMAT: Schema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  type: "object",
  required: ["name", "schema"],
  additionalProperties: false,
  properties: {
    name: { type: "string", pattern: "^[a-zA-Z0-9_-]{1,64}$" },
    description: { type: "string" },
    schema: { allOf: [{ $ref: metaSchema.$id! }, { type: "object" }] },
    strict: { type: ["boolean", "null"] },
  },
};

/** One thing that is wrong: where, as a JSON pointer, and what. */
export interface Fault {
  pointer: string;
  message: string;
}

export type Check = (value: unknown) => Fault[];

export const checkFunction = checkWith(FUNCTION);
export const checkResponseFormat = checkWith(RESPONSE_FORMAT);

/** The first thing that is wrong with a text, in a sentence. */
export function problemIn(text: string, check: Check): string | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `This is no JSON: ${error instanceof Error ? error.message : String(error)}`;
  }
  const fault = check(value)[0];
  return fault ? `${fault.pointer || "The whole"}: ${fault.message}` : null;
}

function checkWith(schema: Schema): Check {
  const validator = new Validator(schema, "7", false);
  validator.addSchema(metaSchema);
  return (value) => {
    try {
      const { valid, errors } = validator.validate(value);
      return valid ? [] : innermost(errors.map(({ instanceLocation, error }) => fault(instanceLocation, error)));
    } catch {
      // The validator writes places as addresses and calls itself for every level: some texts are beyond it.
      return [{ pointer: "", message: "This is nested too deep, or a name in it has half a character." }];
    }
  };
}

function fault(location: string, error: string): Fault {
  const message = error.includes("does not match pattern")
    ? "Use up to 64 letters, digits, underscores and dashes."
    : error.replace(/^Instance type/, "The type").replace(/^Instance/, "This");
  return { pointer: location.replace(/^#/, ""), message };
}

/** A validator reports a fault at every level above it, too: the deepest places are the ones to look at. */
function innermost(faults: Fault[]): Fault[] {
  const seen = new Set<string>();
  return faults.filter(({ pointer, message }, index) => {
    const isOuter = faults.some((other, at) => at !== index && other.pointer.startsWith(`${pointer}/`));
    if (isOuter || seen.has(pointer) || /subschema|Property .* does not match schema/.test(message)) return false;
    seen.add(pointer);
    return true;
  });
}
