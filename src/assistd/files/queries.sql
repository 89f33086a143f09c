-- name: create
INSERT INTO files (id, project_id, bytes, filename, purpose, blobs, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, unix_now() + $7::bigint)
RETURNING *

-- name: get
SELECT * FROM files WHERE id = $1 AND project_id = $2 AND (expires_at IS NULL OR expires_at > unix_now())

-- name: find
SELECT * FROM files
WHERE id = ANY($1::text[]) AND project_id = $2 AND (expires_at IS NULL OR expires_at > unix_now())

-- name: hold
-- The same, and none of them can be deleted before the transaction ends.
SELECT * FROM files
WHERE id = ANY($1::text[]) AND project_id = $2 AND (expires_at IS NULL OR expires_at > unix_now())
ORDER BY id
FOR KEY SHARE

-- name: delete
WITH gone AS (
    DELETE FROM files WHERE id = $1 AND project_id = $2 RETURNING id, project_id, seq
)
INSERT INTO tombstones (id, project_id, seq) SELECT id, project_id, seq FROM gone RETURNING id

-- name: expired
SELECT id, project_id FROM files WHERE expires_at <= unix_now() LIMIT $1

-- name: list_place
SELECT seq FROM files WHERE id = $1 AND project_id = $2
UNION ALL
SELECT seq FROM tombstones WHERE id = $1 AND project_id = $2

-- name: list_asc
SELECT * FROM files
WHERE project_id = $1 AND seq > $2 AND seq < $3 AND ($5::text IS NULL OR purpose = $5)
    AND (expires_at IS NULL OR expires_at > unix_now())
ORDER BY seq ASC LIMIT $4

-- name: list_desc
SELECT * FROM files
WHERE project_id = $1 AND seq > $2 AND seq < $3 AND ($5::text IS NULL OR purpose = $5)
    AND (expires_at IS NULL OR expires_at > unix_now())
ORDER BY seq DESC LIMIT $4

-- name: assistants_naming
-- Assistants whose code interpreter has a file: the expression is that of the index assistants_files.
SELECT id, tool_resources FROM assistants
WHERE (tool_resources::jsonb #> '{code_interpreter,file_ids}') ? $1 AND project_id = $2
ORDER BY id
FOR UPDATE

-- name: set_assistant_resources
UPDATE assistants SET tool_resources = $2 WHERE id = $1

-- name: threads_naming
-- Threads whose code interpreter has a file: the expression is that of the index threads_files.
SELECT id, tool_resources FROM threads
WHERE (tool_resources::jsonb #> '{code_interpreter,file_ids}') ? $1 AND project_id = $2
ORDER BY id
FOR UPDATE

-- name: set_thread_resources
UPDATE threads SET tool_resources = $2 WHERE id = $1
