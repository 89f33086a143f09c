-- name: create
INSERT INTO uploads (id, project_id, bytes, filename, purpose, mime_type, file_expires_seconds, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, unix_now() + $8::bigint)
RETURNING *

-- name: get
-- An upload that is past its time is expired at once, whether the sweeper has been there or not.
SELECT *, CASE WHEN status = 'pending' AND expires_at <= unix_now() THEN 'expired' ELSE status END AS shown_status
FROM uploads WHERE id = $1 AND project_id = $2

-- name: lock
SELECT *, CASE WHEN status = 'pending' AND expires_at <= unix_now() THEN 'expired' ELSE status END AS shown_status
FROM uploads WHERE id = $1 AND project_id = $2
FOR UPDATE

-- name: received
SELECT COALESCE(sum(bytes), 0)::bigint FROM upload_parts WHERE upload_id = $1

-- name: add_part
INSERT INTO upload_parts (id, upload_id, bytes, blob) VALUES ($1, $2, $3, $4) RETURNING *

-- name: parts
SELECT id, bytes, blob FROM upload_parts WHERE upload_id = $1 AND id = ANY($2::text[])

-- name: release_parts
-- The file owns their blobs from now on.
UPDATE upload_parts SET blob = NULL WHERE upload_id = $1 AND id = ANY($2::text[])

-- name: drop_parts
DELETE FROM upload_parts WHERE upload_id = $1

-- name: set_status
UPDATE uploads SET status = $2, file_id = $3 WHERE id = $1

-- name: expire
-- Uploads past their time, some at once; their parts go with them.
WITH late AS (
    SELECT id FROM uploads WHERE status = 'pending' AND expires_at <= unix_now()
    LIMIT $1 FOR UPDATE SKIP LOCKED
), dropped AS (
    DELETE FROM upload_parts WHERE upload_id IN (SELECT id FROM late)
)
UPDATE uploads SET status = 'expired' WHERE id IN (SELECT id FROM late) RETURNING id
