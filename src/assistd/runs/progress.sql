-- name: claim
-- A worker takes a run: every write under an older lease is void from here on. The lock is the one that an `append`
-- excludes; an update's own is not.
WITH held AS (
    SELECT id FROM runs WHERE id = $1 AND lease < $2 FOR UPDATE
)
UPDATE runs SET lease = $2 FROM held WHERE runs.id = held.id
RETURNING runs.*, extract(epoch FROM now())::float8 AS now,
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

-- The parts of a change, of which `progress.write` puts together those that it needs: a statement with all of
-- them takes PostgreSQL three times as long. Everything hangs on the first one, called `run`, which holds the run
-- under its lease: where it finds none, nothing else finds anything.

-- name: held
SELECT id, thread_id, assistant_id, expires_at FROM runs
WHERE id = :run_id AND lease = :lease AND status = :old FOR UPDATE

-- name: counted
UPDATE runs SET
    prompt_tokens = prompt_tokens + :prompt_tokens,
    completion_tokens = completion_tokens + :completion_tokens,
    cached_tokens = cached_tokens + :cached_tokens,
    reasoning_tokens = reasoning_tokens + :reasoning_tokens
WHERE id = :run_id AND lease = :lease AND status = :old::text
RETURNING id, thread_id, assistant_id, expires_at

-- name: changed
UPDATE runs SET
    status = :new,
    started_at = CASE WHEN :old = 'queued' AND :new = 'in_progress' THEN :at ELSE started_at END,
    completed_at = CASE WHEN :new IN ('completed', 'incomplete') THEN :at ELSE completed_at END,
    failed_at = CASE WHEN :new = 'failed' THEN :at ELSE failed_at END,
    cancelled_at = CASE WHEN :new = 'cancelled' THEN :at ELSE cancelled_at END,
    required_action = :required_action::json,
    last_error = :last_error::json,
    incomplete_reason = :incomplete_reason,
    prompt_tokens = prompt_tokens + :prompt_tokens,
    completion_tokens = completion_tokens + :completion_tokens,
    cached_tokens = cached_tokens + :cached_tokens,
    reasoning_tokens = reasoning_tokens + :reasoning_tokens
WHERE id = :run_id AND lease = :lease AND status = :old::text
RETURNING id, thread_id, assistant_id, expires_at

-- name: opened_message
INSERT INTO messages (id, thread_id, created_at, role, status, content, attachments, metadata, assistant_id, run_id)
SELECT :opened_message_id::text, thread_id, :at, 'assistant', 'in_progress', '[]', '[]', '{}', assistant_id, id FROM run

-- name: opened_step
INSERT INTO steps (id, run_id, thread_id, assistant_id, type, created_at, expires_at, step_details)
SELECT :opened_step_id::text, id, thread_id, assistant_id, :opened_step_type::text, :at, expires_at,
    :opened_step_details::json
FROM run

-- name: closed_step
UPDATE steps SET
    status = :step_status,
    step_details = :step_details::json,
    exchange = COALESCE(:exchange::json, steps.exchange),
    last_search = COALESCE(:last_search::integer, steps.last_search),
    last_error = :step_error::json,
    completed_at = CASE WHEN :step_status = 'completed' THEN :at::bigint END,
    failed_at = CASE WHEN :step_status = 'failed' THEN :at::bigint END,
    cancelled_at = CASE WHEN :step_status = 'cancelled' THEN :at::bigint END,
    expired_at = CASE WHEN :step_status = 'expired' THEN :at::bigint END,
    prompt_tokens = steps.prompt_tokens + :step_prompt_tokens,
    completion_tokens = steps.completion_tokens + :step_completion_tokens,
    cached_tokens = steps.cached_tokens + :step_cached_tokens,
    reasoning_tokens = steps.reasoning_tokens + :step_reasoning_tokens
FROM run WHERE steps.id = :step_id::text

-- name: closed_message
UPDATE messages SET
    content = :content::json,
    status = CASE WHEN :message_reason::text IS NULL THEN 'completed' ELSE 'incomplete' END,
    incomplete_reason = :message_reason,
    completed_at = CASE WHEN :message_reason IS NULL THEN :at::bigint END,
    incomplete_at = CASE WHEN :message_reason IS NOT NULL THEN :at::bigint END
FROM run WHERE messages.id = :message_id::text

-- name: discarded_step
DELETE FROM steps USING run WHERE steps.id = :discarded_step_id::text AND steps.run_id = run.id

-- name: discarded_message
DELETE FROM messages USING run WHERE messages.id = :discarded_message_id::text AND messages.run_id = run.id

-- name: told
-- A row that is there already was written by an `append` whose answer got lost: what it has comes first in this one.
INSERT INTO run_events (run_id, lease, first_number, last_number, frames)
SELECT id, :lease, :first_number::bigint, :last_number::bigint, :frames::text FROM run
ON CONFLICT (run_id, lease, first_number) DO UPDATE
SET last_number = EXCLUDED.last_number, frames = EXCLUDED.frames

-- name: asked
INSERT INTO run_prompts (run_id, turn, created_at, shortened, body)
SELECT id, :turn::integer, :asked_at::bigint, :shortened::boolean, :body::bytea FROM run
ON CONFLICT (run_id, turn) DO UPDATE
SET created_at = EXCLUDED.created_at, shortened = EXCLUDED.shortened, body = EXCLUDED.body

-- name: unlocked_thread
UPDATE threads SET active_run_id = NULL FROM run WHERE threads.id = run.thread_id

-- name: completed_job
DELETE FROM jobs USING run WHERE jobs.kind = 'run' AND jobs.key = run.id

-- name: waiting_job
-- The job of a run that awaits its client sleeps until the run expires.
UPDATE jobs SET due = to_timestamp(run.expires_at), worker = NULL
FROM run WHERE jobs.kind = 'run' AND jobs.key = run.id

-- name: append
-- Events that announce no change, of many runs at once. Those of a lost lease are dropped: the lock holds up the next
-- claim until they are there for it to see. A row that is there already was written by a statement whose answer got
-- lost; by now more may have gathered behind it.
INSERT INTO run_events (run_id, lease, first_number, last_number, frames)
SELECT new.run_id, new.lease, new.first_number, new.last_number, new.frames
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
     AS new (run_id, lease, first_number, last_number, frames)
JOIN runs ON runs.id = new.run_id AND runs.lease = new.lease
FOR KEY SHARE OF runs
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
