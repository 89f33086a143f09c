import { memo } from "react";

import { Highlighted } from "../markdown/Highlighted";

/** Any value as JSON. */
export const Json = memo(function Json({ value, label }: { value: unknown; label?: string }) {
  return <Highlighted code={JSON.stringify(value, null, 2) ?? "null"} language="json" label={label ?? "JSON"} />;
});
