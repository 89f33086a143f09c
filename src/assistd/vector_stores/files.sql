-- name: hold
-- Whoever writes to a store holds it: so files are counted one writer after the other, and it does not go meanwhile.
SELECT key, expires_at <= unix_now() AS expired FROM vector_stores WHERE id = $1 AND project_id = $2 FOR NO KEY UPDATE

-- name: store_exists
SELECT EXISTS (SELECT FROM vector_stores WHERE id = $1 AND project_id = $2)

-- name: attached
SELECT * FROM vector_store_files WHERE store_key = $1 AND file_id = ANY ($2::text[]) ORDER BY key FOR UPDATE

-- name: count
SELECT count(*) FROM vector_store_files WHERE store_key = $1

-- name: attach
INSERT INTO vector_store_files (store_key, file_id, chunking_strategy, attributes)
SELECT $1, new.file_id, new.chunking_strategy, new.attributes
FROM unnest($2::text[], $3::json[], $4::json[]) WITH ORDINALITY
     AS new (file_id, chunking_strategy, attributes, place)
ORDER BY new.place
RETURNING *

-- name: set_attributes
UPDATE vector_store_files AS f SET attributes = new.attributes
FROM unnest($1::bigint[], $2::json[]) AS new (key, attributes) WHERE f.key = new.key
RETURNING f.*

-- name: unlink
DELETE FROM vector_store_batch_files AS l USING vector_store_files f
WHERE l.file_key = f.key AND f.key = ANY ($1::bigint[])
RETURNING l.batch_id, f.file_id

-- name: forget_chunks
DELETE FROM chunks WHERE file_key = ANY ($1::bigint[])

-- name: renew
-- To be read once more, under a new key: a worker that still reads it under the old one finds nothing to write to.
UPDATE vector_store_files AS f SET
    key = DEFAULT, status = 'in_progress', usage_bytes = 0, chunks = 0, last_error = NULL,
    chunking_strategy = new.chunking_strategy, attributes = new.attributes
FROM unnest($1::bigint[], $2::json[], $3::json[]) AS new (key, chunking_strategy, attributes) WHERE f.key = new.key
RETURNING f.*

-- name: link
INSERT INTO vector_store_batch_files (batch_id, file_key) SELECT * FROM unnest($1::text[], $2::bigint[])

-- name: enqueue
-- As jobs.store.enqueue does for one.
INSERT INTO jobs (kind, key, project_id) SELECT $1, key::text, $3 FROM unnest($2::bigint[]) AS key ON CONFLICT DO NOTHING

-- name: get
SELECT f.* FROM vector_store_files f JOIN vector_stores s ON s.key = f.store_key
WHERE s.id = $2 AND s.project_id = $1 AND f.file_id = $3

-- name: update_attributes
UPDATE vector_store_files SET attributes = $3 WHERE store_key = $1 AND file_id = $2 RETURNING *

-- name: remove
DELETE FROM vector_store_files f USING vector_stores s
WHERE s.id = $2 AND s.project_id = $1 AND f.store_key = s.key AND f.file_id = $3
RETURNING f.file_id

-- name: files_place
SELECT COALESCE(
    (SELECT f.seq FROM vector_store_files f JOIN vector_stores s ON s.key = f.store_key
     WHERE s.id = $2 AND f.file_id = $1),
    (SELECT seq FROM tombstones WHERE id = $2 || '/' || $1)
)

-- name: files_asc
SELECT * FROM vector_store_files
WHERE store_key = (SELECT key FROM vector_stores WHERE id = $1) AND seq > $2 AND seq < $3
  AND ($5::text IS NULL OR status = $5)
ORDER BY seq ASC LIMIT $4

-- name: files_desc
SELECT * FROM vector_store_files
WHERE store_key = (SELECT key FROM vector_stores WHERE id = $1) AND seq > $2 AND seq < $3
  AND ($5::text IS NULL OR status = $5)
ORDER BY seq DESC LIMIT $4

-- name: passages
SELECT text FROM chunks WHERE file_key = $1 ORDER BY number

-- name: smallest
-- The smallest files of stores that were read, each once, as long as their passages have $3 bytes together. What a
-- file uses are its passages, and two bytes for each number of their vectors.
WITH once AS (
    SELECT DISTINCT ON (v.file_id) v.key, v.seq, v.file_id, f.filename, v.chunking_strategy, size.bytes
    FROM vector_stores s
    JOIN vector_store_files v ON v.store_key = s.key
    JOIN files f ON f.id = v.file_id,
    LATERAL (SELECT v.usage_bytes - 2 * v.chunks * COALESCE(s.dimensions, 0) AS bytes) AS size
    WHERE s.project_id = $1 AND s.id = ANY ($2::text[]) AND (s.expires_at IS NULL OR s.expires_at > unix_now())
      AND v.status = 'completed' AND size.bytes <= $3::bigint
    ORDER BY v.file_id, size.bytes, v.key
)
SELECT key, file_id, filename, chunking_strategy
FROM (SELECT *, sum(bytes) OVER (ORDER BY bytes, seq, key) AS together FROM once) AS ranked
WHERE together <= $3
ORDER BY bytes, seq, key

-- name: passages_of
SELECT file_key, text FROM chunks WHERE file_key = ANY ($1::bigint[]) ORDER BY file_key, number

-- name: unread
SELECT f.filename, v.last_error
FROM vector_store_files v
JOIN vector_stores s ON s.key = v.store_key
JOIN files f ON f.id = v.file_id
WHERE s.id = ANY ($1::text[]) AND v.status IN ('failed', 'in_progress')
ORDER BY v.status = 'failed', v.seq DESC LIMIT $2
