-- name: create_thread
INSERT INTO threads (id, project_id, tool_resources, metadata) VALUES ($1, $2, $3, $4) RETURNING *

-- name: get_thread
SELECT * FROM threads WHERE id = $1 AND project_id = $2

-- name: modify_thread
UPDATE threads SET tool_resources = COALESCE($3, tool_resources), metadata = COALESCE($4, metadata)
WHERE id = $1 AND project_id = $2 RETURNING *

-- name: lock_resources
SELECT tool_resources FROM threads WHERE id = $1 FOR UPDATE

-- name: lock_resources_of
SELECT tool_resources FROM threads WHERE id = $1 AND project_id = $2 FOR UPDATE

-- name: set_resources
UPDATE threads SET tool_resources = $2 WHERE id = $1

-- name: delete_thread
-- A run that is active on the thread goes with it: whoever executes it is told to stop. Its row is locked first,
-- as by whoever writes what it does: run, then thread. The other way round the two would wait for each other.
WITH held AS (
    SELECT FROM runs WHERE id = (SELECT active_run_id FROM threads WHERE id = $1 AND project_id = $2) FOR UPDATE
), gone AS (
    DELETE FROM threads WHERE id = $1 AND project_id = $2 AND (SELECT count(*) FROM held) >= 0
    RETURNING id, project_id, seq, active_run_id
), told AS (
    SELECT pg_notify('assistd_cancel', active_run_id) FROM gone WHERE active_run_id IS NOT NULL
)
INSERT INTO tombstones (id, project_id, seq)
SELECT id, project_id, seq FROM gone LEFT JOIN told ON true
RETURNING id

-- name: threads_place
SELECT seq FROM threads WHERE id = $1 AND project_id = $2
UNION ALL
SELECT seq FROM tombstones WHERE id = $1 AND project_id = $2

-- name: threads_asc
SELECT * FROM threads WHERE project_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq ASC LIMIT $4

-- name: threads_desc
SELECT * FROM threads WHERE project_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4

-- name: found_place
SELECT seq FROM threads WHERE id = $1 AND project_id = $2
UNION ALL
SELECT seq FROM tombstones WHERE id = $1 AND project_id = $2

-- name: found_asc
-- The threads with metadata $5 and, unless $6 is null, with a value that contains it, whatever its case. What many
-- threads have is found among the next of the list, what few have by the index: neither way looks at all of them.
WITH near AS MATERIALIZED (
    SELECT * FROM threads WHERE project_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq ASC LIMIT 25 * $4
), fitting AS MATERIALIZED (
    SELECT * FROM near WHERE metadata::jsonb @> $5 AND ($6::text IS NULL OR EXISTS (
        SELECT FROM json_each_text(metadata) WHERE strpos(lower(value), lower($6)) > 0
    ))
    ORDER BY seq ASC LIMIT $4
), beyond AS MATERIALIZED (
    SELECT * FROM threads
    WHERE thread_terms(project_id, metadata) @> sought_terms($1, $5, $6) AND metadata::text <> '{}'
    AND (SELECT count(*) FROM fitting) < $4
)
SELECT * FROM fitting
UNION ALL (
    SELECT * FROM beyond WHERE project_id = $1 AND seq > (SELECT max(seq) FROM near) AND seq < $3
    AND metadata::jsonb @> $5 AND ($6::text IS NULL OR EXISTS (
        SELECT FROM json_each_text(metadata) WHERE strpos(lower(value), lower($6)) > 0
    ))
    ORDER BY seq ASC LIMIT $4
)
ORDER BY seq ASC LIMIT $4

-- name: found_desc
WITH near AS MATERIALIZED (
    SELECT * FROM threads WHERE project_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT 25 * $4
), fitting AS MATERIALIZED (
    SELECT * FROM near WHERE metadata::jsonb @> $5 AND ($6::text IS NULL OR EXISTS (
        SELECT FROM json_each_text(metadata) WHERE strpos(lower(value), lower($6)) > 0
    ))
    ORDER BY seq DESC LIMIT $4
), beyond AS MATERIALIZED (
    SELECT * FROM threads
    WHERE thread_terms(project_id, metadata) @> sought_terms($1, $5, $6) AND metadata::text <> '{}'
    AND (SELECT count(*) FROM fitting) < $4
)
SELECT * FROM fitting
UNION ALL (
    SELECT * FROM beyond WHERE project_id = $1 AND seq > $2 AND seq < (SELECT min(seq) FROM near)
    AND metadata::jsonb @> $5 AND ($6::text IS NULL OR EXISTS (
        SELECT FROM json_each_text(metadata) WHERE strpos(lower(value), lower($6)) > 0
    ))
    ORDER BY seq DESC LIMIT $4
)
ORDER BY seq DESC LIMIT $4

-- name: create_message
-- The lock waits for a run that is just being created or just finishing, and then sees its outcome. Messages are
-- counted only where the thread can have $8 of them: where as many objects were made after it.
WITH thread AS (
    SELECT id, active_run_id,
        CASE WHEN (SELECT last_value FROM object_seq) - seq >= $8 THEN
            (SELECT count(*) FROM (SELECT FROM messages m WHERE m.thread_id = threads.id LIMIT $8) AS most) >= $8
        ELSE false END AS is_full
    FROM threads WHERE id = $1 AND project_id = $2 FOR SHARE
), created AS (
    INSERT INTO messages (id, thread_id, role, status, completed_at, content, attachments, metadata)
    SELECT $3, id, $4, 'completed', unix_now(), $5, $6, $7 FROM thread WHERE active_run_id IS NULL AND NOT is_full
    RETURNING *
)
SELECT thread.active_run_id, thread.is_full, created.* FROM thread LEFT JOIN created ON true

-- name: has_room
-- Whether a thread that may have $3 messages has room for $2 more.
SELECT CASE WHEN (SELECT last_value FROM object_seq) - seq + $2 > $3::bigint THEN
    (SELECT count(*) FROM (SELECT FROM messages m WHERE m.thread_id = $1 LIMIT $3) AS most) + $2 <= $3
ELSE true END
FROM threads WHERE id = $1

-- name: thread_exists
SELECT EXISTS (SELECT FROM threads WHERE id = $1 AND project_id = $2)

-- name: create_messages
INSERT INTO messages (id, thread_id, role, status, completed_at, content, attachments, metadata)
SELECT new.id, $1, new.role, 'completed', unix_now(), new.content, new.attachments, new.metadata
FROM unnest($2::text[], $3::text[], $4::json[], $5::json[], $6::json[])
     WITH ORDINALITY AS new (id, role, content, attachments, metadata, place)
ORDER BY new.place
RETURNING *

-- name: get_message
SELECT m.* FROM messages m JOIN threads t ON t.id = m.thread_id
WHERE m.id = $3 AND m.thread_id = $2 AND t.project_id = $1

-- name: modify_message
UPDATE messages SET metadata = COALESCE($4, messages.metadata)
FROM threads t
WHERE messages.id = $3 AND messages.thread_id = $2 AND t.id = $2 AND t.project_id = $1
RETURNING messages.*

-- name: delete_message
WITH gone AS (
    DELETE FROM messages USING threads t
    WHERE messages.id = $3 AND messages.thread_id = $2 AND t.id = $2 AND t.project_id = $1
    RETURNING messages.id, t.project_id, messages.seq
)
INSERT INTO tombstones (id, project_id, seq) SELECT id, project_id, seq FROM gone RETURNING id

-- name: messages_place
SELECT seq FROM messages WHERE id = $1 AND thread_id = $2
UNION ALL
SELECT s.seq FROM tombstones s JOIN threads t ON t.project_id = s.project_id WHERE s.id = $1 AND t.id = $2

-- name: messages_asc
SELECT * FROM messages
WHERE thread_id = $1 AND seq > $2 AND seq < $3 AND ($5::text IS NULL OR run_id = $5)
ORDER BY seq ASC LIMIT $4

-- name: messages_desc
SELECT * FROM messages
WHERE thread_id = $1 AND seq > $2 AND seq < $3 AND ($5::text IS NULL OR run_id = $5)
ORDER BY seq DESC LIMIT $4
