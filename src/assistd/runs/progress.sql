-- name: claim
-- A worker takes a run: every write under an older lease is void from here on.
UPDATE runs SET lease = $2 WHERE id = $1 AND lease < $2
RETURNING *, extract(epoch FROM now())::float8 AS now,
    (SELECT COALESCE(max(last_number), 0) FROM run_events WHERE run_id = $1) AS last_number

-- name: last_number
SELECT COALESCE(max(last_number), 0) FROM run_events WHERE run_id = $1

-- name: rest
-- The job of a run that awaits its client sleeps until the run expires. Waits for a client that is just answering,
-- and then finds nothing: the run is in the queue again.
WITH run AS (
    SELECT id, expires_at FROM runs WHERE id = $1 AND lease = $2 AND status = 'requires_action' FOR SHARE
), waiting_job AS (
    UPDATE jobs SET due = to_timestamp(run.expires_at), worker = NULL
    FROM run WHERE jobs.kind = 'run' AND jobs.key = run.id
)
SELECT EXISTS (SELECT FROM run)

-- name: state
SELECT status FROM runs WHERE id = $1

-- name: reload
SELECT *, extract(epoch FROM now())::float8 AS now,
    (SELECT COALESCE(max(last_number), 0) FROM run_events WHERE run_id = $1) AS last_number
FROM runs WHERE id = $1 AND lease = $2

-- name: status
SELECT status FROM runs WHERE id = $1 AND lease = $2

-- name: steps
SELECT * FROM steps WHERE run_id = $1 ORDER BY seq

-- name: message
SELECT * FROM messages WHERE id = $1

-- name: write
-- Everything hangs on the first part: where it finds no run, nothing else finds anything.
WITH run AS (
    UPDATE runs SET
        status = $4,
        started_at = CASE WHEN $3 = 'queued' AND $4 = 'in_progress' THEN $5 ELSE started_at END,
        completed_at = CASE WHEN $4 IN ('completed', 'incomplete') THEN $5 ELSE completed_at END,
        failed_at = CASE WHEN $4 = 'failed' THEN $5 ELSE failed_at END,
        cancelled_at = CASE WHEN $4 = 'cancelled' THEN $5 ELSE cancelled_at END,
        required_action = $7::json,
        last_error = $8::json,
        incomplete_reason = $9,
        prompt_tokens = prompt_tokens + $10,
        completion_tokens = completion_tokens + $11,
        cached_tokens = cached_tokens + $12,
        reasoning_tokens = reasoning_tokens + $13
    WHERE id = $1 AND lease = $2 AND status = $3::text
    RETURNING id, thread_id, assistant_id, expires_at
), opened_message AS (
    INSERT INTO messages (id, thread_id, created_at, role, status, content, attachments, metadata, assistant_id, run_id)
    SELECT $17::text, thread_id, $5, 'assistant', 'in_progress', '[]', '[]', '{}', assistant_id, id
    FROM run WHERE $17 IS NOT NULL
), opened_step AS (
    INSERT INTO steps (id, run_id, thread_id, assistant_id, type, created_at, expires_at, step_details)
    SELECT $14::text, id, thread_id, assistant_id, $15::text, $5, expires_at, $16::json
    FROM run WHERE $14 IS NOT NULL
), closed_step AS (
    UPDATE steps SET
        status = $19,
        step_details = $20::json,
        last_error = $21::json,
        completed_at = CASE WHEN $19 = 'completed' THEN $5 END,
        failed_at = CASE WHEN $19 = 'failed' THEN $5 END,
        cancelled_at = CASE WHEN $19 = 'cancelled' THEN $5 END,
        expired_at = CASE WHEN $19 = 'expired' THEN $5 END,
        prompt_tokens = steps.prompt_tokens + $22,
        completion_tokens = steps.completion_tokens + $23,
        cached_tokens = steps.cached_tokens + $24,
        reasoning_tokens = steps.reasoning_tokens + $25
    FROM run WHERE steps.id = $18::text
), closed_message AS (
    UPDATE messages SET
        content = $27::json,
        status = CASE WHEN $28::text IS NULL THEN 'completed' ELSE 'incomplete' END,
        incomplete_reason = $28,
        completed_at = CASE WHEN $28 IS NULL THEN $5 END,
        incomplete_at = CASE WHEN $28 IS NOT NULL THEN $5 END
    FROM run WHERE messages.id = $26::text
), discarded_step AS (
    DELETE FROM steps USING run WHERE steps.id = $29::text AND steps.run_id = run.id
), discarded_message AS (
    DELETE FROM messages USING run WHERE messages.id = $30::text AND messages.run_id = run.id
), told AS (
    INSERT INTO run_events (run_id, lease, first_number, last_number, frames)
    SELECT id, $2, $31::bigint, $32::bigint, $33::text FROM run WHERE $31 IS NOT NULL
    ON CONFLICT (run_id, lease, first_number) DO UPDATE
    SET last_number = EXCLUDED.last_number, frames = EXCLUDED.frames
    WHERE run_events.last_number < EXCLUDED.last_number
), unlocked AS (
    UPDATE threads SET active_run_id = NULL FROM run WHERE threads.id = run.thread_id AND $6::boolean
), completed_job AS (
    DELETE FROM jobs USING run WHERE jobs.kind = 'run' AND jobs.key = run.id AND $6
), waiting_job AS (
    -- The job of a run that awaits its client sleeps until the run expires.
    UPDATE jobs SET due = to_timestamp(run.expires_at), worker = NULL
    FROM run WHERE jobs.kind = 'run' AND jobs.key = run.id AND $4 = 'requires_action'
)
SELECT EXISTS (SELECT FROM run)

-- name: append
-- Events that announce no change, of many runs at once. Those of a lost lease are dropped. A row that is there
-- already was written by a statement whose answer got lost; by now more may have gathered behind it.
INSERT INTO run_events (run_id, lease, first_number, last_number, frames)
SELECT new.run_id, new.lease, new.first_number, new.last_number, new.frames
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
     AS new (run_id, lease, first_number, last_number, frames)
JOIN runs ON runs.id = new.run_id AND runs.lease = new.lease
ON CONFLICT (run_id, lease, first_number) DO UPDATE
SET last_number = EXCLUDED.last_number, frames = EXCLUDED.frames
WHERE run_events.last_number < EXCLUDED.last_number

-- name: read
SELECT lease, first_number, last_number, frames FROM run_events
WHERE run_id = $1 AND (lease, last_number) > ($2, $3)
ORDER BY lease, first_number LIMIT $4

-- name: announce
SELECT pg_notify('assistd_events', run_id) FROM unnest($1::text[]) AS told (run_id)

-- name: ask
SELECT pg_notify('assistd_follow', $1)
