/** The parts of JSON Schema that function parameters are written in, as a schema of schemas. */
import type { Schema } from "@cfworker/json-schema";

const types = ["array", "boolean", "integer", "null", "number", "object", "string"];
const here: Schema = { $ref: "#" };
const several: Schema = { type: "array", minItems: 1, items: here };
const whole: Schema = { type: "integer", minimum: 0 };
const named: Schema = { type: "object", additionalProperties: here };

export const metaSchema: Schema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  $id: "https://assistd.invalid/json-schema",
  type: ["object", "boolean"],
  properties: {
    type: {
      anyOf: [{ enum: types }, { type: "array", minItems: 1, uniqueItems: true, items: { enum: types } }],
    },
    title: { type: "string" },
    description: { type: "string" },
    format: { type: "string" },
    pattern: { type: "string" },
    $ref: { type: "string" },
    enum: { type: "array", minItems: 1 },
    properties: named,
    patternProperties: named,
    definitions: named,
    $defs: named,
    required: { type: "array", items: { type: "string" }, uniqueItems: true },
    additionalProperties: here,
    propertyNames: here,
    items: { anyOf: [here, several] },
    prefixItems: several,
    contains: here,
    not: here,
    if: here,
    then: here,
    else: here,
    anyOf: several,
    allOf: several,
    oneOf: several,
    minimum: { type: "number" },
    maximum: { type: "number" },
    exclusiveMinimum: { type: "number" },
    exclusiveMaximum: { type: "number" },
    multipleOf: { type: "number", exclusiveMinimum: 0 },
    minLength: whole,
    maxLength: whole,
    minItems: whole,
    maxItems: whole,
    minProperties: whole,
    maxProperties: whole,
    uniqueItems: { type: "boolean" },
    deprecated: { type: "boolean" },
  },
};
