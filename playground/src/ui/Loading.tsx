/** Says that something is on its way. */
export function Loading({ what }: { what: string }) {
  return (
    <p className="dim small loading" role="status">
      Loading {what} …
    </p>
  );
}
