-- name: stores
SELECT id, key, embedding_model, dimensions, COALESCE(expires_at <= unix_now(), false) AS expired
FROM vector_stores WHERE project_id = $1 AND id = ANY($2)

-- name: passages
-- How many passages a store has.
SELECT COALESCE(sum(chunks), 0)::bigint FROM vector_store_files WHERE store_key = $1

-- name: files
-- The files of a store that a filter lets through, which is put in the place of {condition}; $1 is the store's key.
SELECT key, chunks FROM vector_store_files WHERE store_key = $1 AND {condition}

-- name: has_index
SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND indisvalid)

-- name: plan
-- For the rest of the transaction. Estimates are of no use for a tsquery or a vector that is a parameter, so the plans
-- are prescribed: indexes for words, and the order of the index for vectors.
SELECT
    set_config('enable_seqscan', 'off', true),
    set_config('enable_sort', $1, true),
    set_config('hnsw.iterative_scan', 'relaxed_order', true),
    set_config('hnsw.ef_search', $2, true),
    set_config('hnsw.max_scan_tuples', '200000', true)

-- name: nearest
-- {where} names the passages and {type} is the type that an index has, or the column's own; $1 is the query's vector.
SELECT file_key, number, embedding::{type} <=> (SELECT $1::text::{type}) AS distance
FROM chunks WHERE {where}
ORDER BY embedding::{type} <=> (SELECT $1::text::{type}) LIMIT $2

-- name: lexemes
-- The lexemes of a query, and how many of the passages that $2 marks have them, up to the bound $3.
SELECT lexeme, count FROM
    unnest(tsvector_to_array(to_tsvector('english', $1))) AS lexeme,
    LATERAL (SELECT quote_literal(lexeme)::tsquery && $2::text::tsquery AS query) AS q,
    LATERAL (SELECT count(*) AS count FROM (SELECT FROM chunks WHERE words @@ query LIMIT $3) AS found) AS c

-- name: count_matching
-- How many passages match the tsquery $1, up to the bound $2.
SELECT count(*) FROM (SELECT FROM chunks WHERE words @@ $1::text::tsquery LIMIT $2) AS found

-- name: matching
-- The passages that match the tsquery $1, best first by the lexemes $2 with the weights $3. {where} names those that are
-- looked at, $4 of them at most.
SELECT file_key, number
FROM (
    SELECT file_key, number, words FROM chunks
    WHERE {where} LIMIT $4
) AS candidate,
-- The sum of nothing and the words is the words, unpacked once and not for every lexeme.
LATERAL (SELECT words || ''::tsvector AS whole OFFSET 0) AS unpacked
WHERE whole @@ (SELECT $1::text::tsquery)
ORDER BY
    (
        SELECT sum(weight * ts_rank(whole, lexeme))
        FROM unnest((SELECT $2::text[]::tsquery[]), $3::float8[]) AS u (lexeme, weight)
    ) / (1 + 2 * length(whole) / 150::float8) DESC, file_key, number
LIMIT $5

-- name: hits
-- Passages by file and number ($1, $2) as clients see them, with what their score is made of: $3 is the query's vector,
-- $4 and $5 the lexemes with their weights.
SELECT
    file_id, filename, attributes, text, number, file_key,
    1 - (embedding <=> (SELECT $3::text::halfvec)) AS cosine,
    COALESCE((
        SELECT sum(weight * ts_rank(words, lexeme)) FROM unnest((SELECT $4::text[]::tsquery[]), $5::float8[]) AS u (lexeme, weight)
    ), 0) / (1 + 2 * length(words) / 150::float8) AS text_score
FROM unnest($1::bigint[], $2::integer[]) AS wanted (file_key, number)
JOIN chunks USING (file_key, number)
JOIN vector_store_files ON key = file_key
JOIN files ON files.id = file_id
