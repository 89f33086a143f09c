-- name: lock_thread
-- It cannot be deleted before the transaction ends. Always the first lock: who deletes a thread has it, too, before
-- the rows that go with it.
SELECT FROM threads WHERE id = $1 AND project_id = $2 FOR KEY SHARE

-- name: session
SELECT session FROM code_sessions WHERE thread_id = $1 FOR UPDATE

-- name: take_session
INSERT INTO code_sessions (thread_id, session, worker, inputs) VALUES ($1, $2, $3, $4)
ON CONFLICT (thread_id) DO UPDATE
SET session = EXCLUDED.session, worker = EXCLUDED.worker, inputs = EXCLUDED.inputs, used_at = unix_now()

-- name: hold_session
-- Not found where another session has the thread by now.
UPDATE code_sessions SET used_at = unix_now() WHERE thread_id = $1 AND session = $2 RETURNING session

-- name: holder
SELECT NULLIF(worker, '') FROM code_sessions WHERE thread_id = $1

-- name: forget_other_holder
UPDATE code_sessions SET worker = '' WHERE thread_id = $1 AND worker NOT IN ('', $2)

-- name: kept
SELECT c.path, c.bytes, c.digest, COALESCE(f.blobs, c.blobs) AS blobs
FROM code_files c LEFT JOIN files f ON f.id = c.file_id
WHERE c.thread_id = $1
ORDER BY c.path

-- name: forget
DELETE FROM code_files WHERE thread_id = $1 AND path = ANY($2::text[])

-- name: keep
-- New content under a path; an empty file has no blob.
INSERT INTO code_files (thread_id, path, bytes, digest, blobs)
SELECT $1, path, bytes, digest, CASE WHEN blob IS NULL THEN '{}'::text[] ELSE ARRAY[blob] END
FROM unnest($2::text[], $3::bigint[], $4::bytea[], $5::text[]) AS new (path, bytes, digest, blob)
ON CONFLICT (thread_id, path) DO UPDATE
SET bytes = EXCLUDED.bytes, digest = EXCLUDED.digest, blobs = EXCLUDED.blobs, file_id = NULL

-- name: paths
-- What an answer may name: files that are kept, and those that were given, under all their names, if clients can have
-- them or the code has changed them.
SELECT path FROM code_files WHERE thread_id = $1
UNION
SELECT input.key
FROM code_sessions s
CROSS JOIN jsonb_each_text(s.inputs) AS input
JOIN files f ON f.id = input.value AND (f.expires_at IS NULL OR f.expires_at > unix_now())
LEFT JOIN code_files c ON c.thread_id = s.thread_id AND c.path = input.value
WHERE s.thread_id = $1 AND (c.path IS NOT NULL OR f.purpose <> ALL ($2::text[]))

-- name: input
SELECT inputs ->> $2 FROM code_sessions WHERE thread_id = $1

-- name: lock_file
SELECT bytes, blobs, file_id FROM code_files WHERE thread_id = $1 AND path = $2 FOR UPDATE

-- name: publish
UPDATE code_files SET file_id = $3, blobs = '{}' WHERE thread_id = $1 AND path = $2

-- name: resources
-- What the code of a run may use, as it is now: of its assistant, which may be gone, and of its thread. Their rooms
-- are above this one and are not called from here.
SELECT a.tool_resources AS assistant, t.tool_resources AS thread
FROM threads t LEFT JOIN assistants a ON a.id = $2 AND a.project_id = t.project_id
WHERE t.id = $1
