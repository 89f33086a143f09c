-- name: create
INSERT INTO vector_stores (id, project_id, name, description, metadata, expires_days, embedding_model, implicit)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING *, false AS expired

-- name: get
SELECT *, expires_at <= unix_now() AS expired FROM vector_stores WHERE id = $1 AND project_id = $2

-- name: modify
-- A policy that is set begins now: it must not end a store on the spot that was idle before.
UPDATE vector_stores SET
    name = CASE WHEN $3 THEN $4 ELSE name END,
    expires_days = CASE WHEN $5 THEN $6 ELSE expires_days END,
    last_active_at = CASE WHEN $6 IS NULL THEN last_active_at ELSE unix_now() END,
    metadata = COALESCE($7, metadata)
WHERE id = $1 AND project_id = $2
RETURNING *, false AS expired

-- name: hold_to_delete
SELECT key FROM vector_stores WHERE id = $1 AND project_id = $2 FOR UPDATE

-- name: delete
WITH gone AS (
    DELETE FROM vector_stores WHERE key = $1 RETURNING id, project_id, seq
)
INSERT INTO tombstones (id, project_id, seq) SELECT id, project_id, seq FROM gone

-- name: implicit
SELECT id FROM vector_stores WHERE id = ANY ($2::text[]) AND project_id = $1 AND implicit

-- name: known
-- A store that somebody is about to name does not go until the name is written.
SELECT id, expires_at <= unix_now() AS expired FROM vector_stores
WHERE id = ANY ($2::text[]) AND project_id = $1 FOR KEY SHARE

-- name: touch
-- Not twice in a second, and nobody waits: who holds the row uses the store too. What has expired stays so.
UPDATE vector_stores SET last_active_at = unix_now() WHERE key IN (
    SELECT key FROM vector_stores
    WHERE id = ANY ($2::text[]) AND project_id = $1
      AND last_active_at < unix_now() AND (expires_at IS NULL OR expires_at > unix_now())
    FOR NO KEY UPDATE SKIP LOCKED
)

-- name: in_progress
SELECT count(*) FROM vector_store_files f JOIN vector_stores s ON s.key = f.store_key
WHERE s.id = ANY ($1::text[]) AND f.status = 'in_progress'

-- name: counts
SELECT store_key, status, count(*) AS files, sum(usage_bytes)::bigint AS usage_bytes
FROM vector_store_files WHERE store_key = ANY ($1::bigint[]) GROUP BY store_key, status

-- name: list_place
SELECT seq FROM vector_stores WHERE id = $1 AND project_id = $2
UNION ALL
SELECT seq FROM tombstones WHERE id = $1 AND project_id = $2

-- name: list_asc
SELECT *, expires_at <= unix_now() AS expired FROM vector_stores
WHERE project_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq ASC LIMIT $4

-- name: list_desc
SELECT *, expires_at <= unix_now() AS expired FROM vector_stores
WHERE project_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4

-- name: assistants_naming
-- The assistants that name a store. The expression is that of the index assistants_stores.
SELECT id, tool_resources FROM assistants
WHERE (tool_resources::jsonb #> '{file_search,vector_store_ids}') ? $2 AND project_id = $1 ORDER BY id FOR UPDATE

-- name: rewrite_assistants
UPDATE assistants SET tool_resources = new.tool_resources
FROM unnest($1::text[], $2::json[]) AS new (id, tool_resources) WHERE assistants.id = new.id

-- name: threads_naming
SELECT id, tool_resources FROM threads
WHERE (tool_resources::jsonb #> '{file_search,vector_store_ids}') ? $2 AND project_id = $1 ORDER BY id FOR UPDATE

-- name: rewrite_threads
UPDATE threads SET tool_resources = new.tool_resources
FROM unnest($1::text[], $2::json[]) AS new (id, tool_resources) WHERE threads.id = new.id

-- name: expired_with_files
-- Stores that expired after $1, at least a minute ago: a transaction that found them alive has ended since.
SELECT s.key FROM vector_stores s
WHERE s.expires_at > $1 AND s.expires_at <= unix_now() - 60
  AND EXISTS (SELECT FROM vector_store_files f WHERE f.store_key = s.key)
ORDER BY s.key

-- name: empty_expired
-- Some files of a store, with their chunks. Each has thousands, so a few at a time.
DELETE FROM vector_store_files WHERE key IN (
    SELECT key FROM vector_store_files WHERE store_key = $1 ORDER BY key LIMIT $2 FOR UPDATE SKIP LOCKED
)
