-- name: create
INSERT INTO vector_store_batches (id, store_key) VALUES ($1, $2) RETURNING *

-- name: fill
INSERT INTO vector_store_batch_files (batch_id, file_key) SELECT $1, key FROM unnest($2::bigint[]) AS key

-- name: get
SELECT b.* FROM vector_store_batches b JOIN vector_stores s ON s.key = b.store_key
WHERE b.id = $3 AND s.id = $2 AND s.project_id = $1

-- name: hold
-- The store too, and first: who attaches files holds it, and may give those of this batch new keys.
SELECT b.* FROM vector_stores s JOIN vector_store_batches b ON b.store_key = s.key
WHERE b.id = $3 AND s.id = $2 AND s.project_id = $1 FOR NO KEY UPDATE OF s, b

-- name: counts
SELECT f.status, count(*) AS files FROM vector_store_batch_files l JOIN vector_store_files f ON f.key = l.file_key
WHERE l.batch_id = $1 GROUP BY f.status

-- name: cancel_files
WITH held AS (
    SELECT f.key FROM vector_store_batch_files l JOIN vector_store_files f ON f.key = l.file_key
    WHERE l.batch_id = $1 AND f.status = 'in_progress' ORDER BY f.key FOR NO KEY UPDATE OF f
)
UPDATE vector_store_files AS f SET status = 'cancelled' FROM held
WHERE f.key = held.key AND f.status = 'in_progress'
RETURNING f.key

-- name: mark_cancelled
UPDATE vector_store_batches SET cancelled = true WHERE id = $1 RETURNING *

-- name: drop_jobs
-- Those that wait. One that is being worked on finds out by itself, and is dropped by its worker.
DELETE FROM jobs WHERE (kind, key) IN (
    SELECT kind, key FROM jobs
    WHERE kind = $1 AND key = ANY (SELECT key::text FROM unnest($2::bigint[]) AS key) AND worker IS NULL
    FOR UPDATE SKIP LOCKED
)

-- name: files_place
SELECT COALESCE(
    (SELECT f.seq FROM vector_store_files f
     JOIN vector_store_batches b ON b.store_key = f.store_key WHERE b.id = $2 AND f.file_id = $1),
    (SELECT t.seq FROM vector_store_batches b JOIN vector_stores s ON s.key = b.store_key
     JOIN tombstones t ON t.id = s.id || '/' || $1 WHERE b.id = $2)
)

-- name: files_asc
SELECT f.* FROM vector_store_batch_files l JOIN vector_store_files f ON f.key = l.file_key
WHERE l.batch_id = $1 AND f.seq > $2 AND f.seq < $3 AND ($5::text IS NULL OR f.status = $5)
ORDER BY f.seq ASC LIMIT $4

-- name: files_desc
SELECT f.* FROM vector_store_batch_files l JOIN vector_store_files f ON f.key = l.file_key
WHERE l.batch_id = $1 AND f.seq > $2 AND f.seq < $3 AND ($5::text IS NULL OR f.status = $5)
ORDER BY f.seq DESC LIMIT $4
