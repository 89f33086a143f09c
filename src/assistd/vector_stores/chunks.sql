-- name: expect_dimensions
-- The dimensions of a store's vectors, which its first file decides; $2 are those at hand.
WITH first AS (
    UPDATE vector_stores SET dimensions = $2 WHERE key = $1 AND dimensions IS NULL RETURNING dimensions
)
SELECT dimensions FROM first UNION ALL
SELECT dimensions FROM vector_stores WHERE key = $1 AND dimensions IS NOT NULL
LIMIT 1

-- name: write
-- $3 numbers the first; $4 are the texts, $5 their words with spaces between, $6 the vectors. A lexeme with a space in
-- it comes from no text: one marks the store, so that the index of words is searched for one store alone, and one
-- marks every 32nd chunk of it, so that frequent words can be counted by sample.
INSERT INTO chunks (file_key, number, store_key, text, embedding, words)
SELECT
    $1::bigint, $3::integer + place - 1, $2::bigint, text, vector::halfvec,
    to_tsvector('english', spaced) || array_to_tsvector(
        CASE WHEN mod($1::bigint * 7919 + $3::integer + place, 32) = 0 THEN ARRAY['store ' || $2::bigint, 'sample ' || $2::bigint]
        ELSE ARRAY['store ' || $2::bigint] END
    )
FROM unnest($4::text[], $5::text[], $6::text[]) WITH ORDINALITY AS u (text, spaced, vector, place)

-- name: forget
DELETE FROM chunks WHERE file_key = $1

-- name: indexable
-- What decides about a store's index: its chunks and their dimensions.
SELECT dimensions, (SELECT sum(chunks) FROM vector_store_files AS f WHERE f.store_key = vector_stores.key) AS chunks
FROM vector_stores WHERE key = $1

-- name: index_state
SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)

-- name: take_turn
SELECT pg_try_advisory_lock(hashtextextended($1, 0))

-- name: end_turn
SELECT pg_advisory_unlock(hashtextextended($1, 0))

-- name: orphans
-- The indexes of stores that are gone.
SELECT relname::text AS name FROM pg_class
WHERE relkind = 'i' AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'chunks'::regclass)
AND relname ~ '^chunks_of_[0-9]+$'
AND NOT EXISTS (SELECT FROM vector_stores WHERE key = substring(relname from '[0-9]+$')::bigint)
