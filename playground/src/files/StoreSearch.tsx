import { useMutation } from "@tanstack/react-query";
import { Search } from "lucide-react";
import { type FormEvent, useState } from "react";

import { api } from "../api/client";
import { messageOf } from "../api/errors";

/** A search of a store, to see what a question would find. */
export function StoreSearch({ storeId }: { storeId: string }) {
  const [query, setQuery] = useState("");
  const search = useMutation({
    mutationFn: (text: string) => api().vectorStores.search(storeId, { query: text, max_num_results: 10 }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (query.trim()) search.mutate(query.trim());
  };
  return (
    <section aria-label="Search the store" className="stack">
      <form className="row" onSubmit={submit}>
        <input
          type="search"
          className="grow"
          aria-label="What to look for"
          placeholder="What would a question find here?"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
        <button type="submit" className="button" disabled={search.isPending}>
          <Search size={15} aria-hidden /> Search
        </button>
      </form>
      {search.error && <p className="field-problem">{messageOf(search.error)}</p>}
      {search.data && (
        <ol className="found" aria-label="Passages found">
          {search.data.data.map((result, index) => (
            <li key={index}>
              <p className="row small">
                <b className="wrap-anywhere">{result.filename}</b>
                <span className="dim">{result.score.toFixed(2)}</span>
              </p>
              <div className="passage small">{result.content.map((part) => part.text).join("\n")}</div>
            </li>
          ))}
          {search.data.data.length === 0 && <li className="dim">Nothing was found.</li>}
        </ol>
      )}
    </section>
  );
}
