-- name: announce
-- A blob that is about to be written. Its due time is the writer's claim on it.
INSERT INTO loose_blobs (key, due) VALUES ($1, now() + make_interval(secs => $2)) RETURNING due

-- name: note_probe
-- A blob that a process writes now and then to try the store, always under the same key.
INSERT INTO loose_blobs (key, due) VALUES ($1, now() + make_interval(secs => $2))
ON CONFLICT (key) DO UPDATE SET due = excluded.due

-- name: adopt
-- The row that owns the blob is written in this transaction. Not found where the sweep has taken it.
DELETE FROM loose_blobs WHERE key = $1 AND due = $2 RETURNING key

-- name: take_due
-- Blobs to delete, for one sweeper: a new due time ends the claim of a writer who comes too late, and gives them
-- to another sweeper should this one die.
UPDATE loose_blobs SET due = now() + make_interval(secs => $2)
WHERE key IN (SELECT key FROM loose_blobs WHERE due <= now() ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING key

-- name: forget
DELETE FROM loose_blobs WHERE key = ANY($1::text[])
