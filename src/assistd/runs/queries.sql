-- name: now
SELECT extract(epoch FROM now())::float8

-- name: prepare
-- All that creating a run depends on, in one look; `create` makes sure that the thread is still free.
SELECT a.*, t.id AS thread_id, t.active_run_id, extract(epoch FROM now())::float8 AS now,
    EXISTS (SELECT FROM messages WHERE thread_id = t.id AND role = 'user') AS has_question,
    (SELECT NULLIF(worker, '') FROM code_sessions WHERE thread_id = t.id) AS holder
FROM (SELECT) AS one
LEFT JOIN threads t ON t.id = $2 AND t.project_id = $1
LEFT JOIN assistants a ON a.id = $3 AND a.project_id = $1

-- name: create
-- The run, its job and the beginning of its stream, if the thread is free; it is busy from then on.
WITH thread AS (
    UPDATE threads SET active_run_id = $1 WHERE id = $3 AND project_id = $2 AND active_run_id IS NULL RETURNING id
), run AS (
    INSERT INTO runs (
        id, project_id, thread_id, assistant_id, created_at, expires_at, model, instructions, tools, tool_resources,
        metadata, temperature, top_p, reasoning_effort, max_prompt_tokens, max_completion_tokens, truncation_strategy,
        tool_choice, parallel_tool_calls, response_format, lease, status, started_at, include_results, retrieval
    )
    SELECT $1, $2, id, $4, $5, $6, $7, $8, $9::json, $10::json, $11::json, $12, $13, $14, $15, $16, $17::json,
        $18::json, $19, $20::json, $24, $27, $28, $29, $30
    FROM thread
), told AS (
    INSERT INTO run_events (run_id, lease, first_number, last_number, frames)
    SELECT $1, 0, $21, $22, $23 FROM thread
), job AS (
    INSERT INTO jobs (kind, key, due, attempt, worker, project_id, ready)
    SELECT 'run', $1, now() + $25::interval, $24, $26::text, $2, $26::text IS NULL FROM thread
)
SELECT EXISTS (SELECT FROM thread)

-- name: get
SELECT * FROM runs WHERE id = $3 AND thread_id = $2 AND project_id = $1

-- name: lock
SELECT *, unix_now() AS now FROM runs WHERE id = $3 AND thread_id = $2 AND project_id = $1 FOR UPDATE

-- name: modify
UPDATE runs SET metadata = $2 WHERE id = $1 RETURNING *

-- name: cancel
UPDATE runs SET status = 'cancelling', required_action = NULL WHERE id = $1 RETURNING *

-- name: tell_cancel
SELECT pg_notify('assistd_cancel', $1)

-- name: runs_place
SELECT seq FROM runs WHERE id = $1 AND thread_id = $2

-- name: runs_asc
SELECT * FROM runs WHERE thread_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq ASC LIMIT $4

-- name: runs_desc
SELECT * FROM runs WHERE thread_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4

-- name: open_step
SELECT * FROM steps WHERE run_id = $1 AND status = 'in_progress' ORDER BY seq DESC LIMIT 1

-- name: submit
-- The outputs complete their step and put the run back into the queue.
WITH run AS (
    UPDATE runs SET status = 'queued', required_action = NULL WHERE id = $1 RETURNING *
), step AS (
    UPDATE steps SET status = 'completed', completed_at = $3, step_details = $4 WHERE id = $2
), told AS (
    INSERT INTO run_events (run_id, lease, first_number, last_number, frames)
    SELECT id, lease, $5, $6, $7 FROM run
)
SELECT 1

-- name: last_number
SELECT COALESCE(max(last_number), 0) FROM run_events WHERE run_id = $1

-- name: history
-- What the model has seen and said, newest first: messages, and tool calls with their outputs. Each branch has an
-- order and limit of its own, so that both are read from the end of an index, however long the thread is.
(
    SELECT seq, run_id, role, content AS payload, NULL::json AS exchange FROM messages
    WHERE thread_id = $1 AND seq < $2 AND status <> 'in_progress'
    ORDER BY seq DESC LIMIT $3
)
UNION ALL
(
    SELECT seq, run_id, 'tools' AS role, step_details AS payload, exchange FROM steps
    WHERE thread_id = $1 AND seq < $2 AND type = 'tool_calls' AND status = 'completed'
    ORDER BY seq DESC LIMIT $3
)
ORDER BY seq DESC LIMIT $3

-- name: first_message
SELECT seq, run_id, role, content AS payload, NULL::json AS exchange FROM messages
WHERE thread_id = $1 AND status <> 'in_progress' ORDER BY seq LIMIT 1

-- name: resources
-- What the tools of a run may use, as it is now: of its assistant, which may be gone, and of its thread.
SELECT t.project_id, a.tool_resources AS assistant, t.tool_resources AS thread
FROM threads t LEFT JOIN assistants a ON a.id = $2 AND a.project_id = t.project_id
WHERE t.id = $1

-- name: next_search
-- Searches of a thread are numbered, so that a marker in an answer names one result only.
SELECT COALESCE(max(last_search) + 1, 0) FROM steps WHERE thread_id = $1 AND type = 'tool_calls'

-- name: prune_events
-- Old events, a bounded number at a time. No run lives as long as its events are kept.
DELETE FROM run_events WHERE ctid IN (
    SELECT ctid FROM run_events WHERE written_at < unix_now() - $1::bigint LIMIT 5000
)
