-- name: enqueue
-- A job that waits already is made ready; one that is being worked on stays with its worker.
INSERT INTO jobs (kind, key) VALUES ($1, $2)
ON CONFLICT (kind, key) DO UPDATE SET due = LEAST(jobs.due, now()) WHERE jobs.worker IS NULL

-- name: enqueue_claimed
-- The process that enqueues also takes the job: no other needs to wake up for it.
INSERT INTO jobs (kind, key, due, attempt, worker) VALUES ($1, $2, now() + $3::interval, 1, $4)
ON CONFLICT (kind, key) DO UPDATE
SET due = EXCLUDED.due, attempt = jobs.attempt + 1, worker = EXCLUDED.worker WHERE jobs.worker IS NULL
RETURNING attempt

-- name: enqueue_offered
-- An offer looks like a claim of the worker that it is made to, which runs out soon.
INSERT INTO jobs (kind, key, due, worker) VALUES ($1, $2, now() + $3::interval, $4)
ON CONFLICT (kind, key) DO UPDATE SET due = EXCLUDED.due, worker = EXCLUDED.worker WHERE jobs.worker IS NULL

-- name: announce_offer
SELECT pg_notify('assistd_job_offers', $1)

-- name: accept
UPDATE jobs SET due = now() + $3::interval, attempt = attempt + 1
WHERE kind = $1 AND key = $2 AND worker = $4 AND due > now()
RETURNING attempt

-- name: wake
SELECT pg_notify('assistd_jobs', $1)

-- name: take
-- One that nobody gave back was lost by its worker.
UPDATE jobs SET due = now() + $2::interval, attempt = attempt + 1, worker = $3, lost = lost + (worker IS NOT NULL)::int
WHERE (kind, key) IN (
    SELECT kind, key FROM jobs WHERE due <= now() AND kind = ANY ($1::text[])
    ORDER BY due LIMIT $4 FOR UPDATE SKIP LOCKED
)
RETURNING kind, key, attempt

-- name: next_due
-- Seconds until the next job of these kinds is ready; null where none is kept.
SELECT extract(epoch FROM min(due) - now())::float8 FROM jobs WHERE kind = ANY ($1::text[])

-- name: heartbeat
-- Returns the jobs that were taken over. One that is not there any more was completed, perhaps a moment ago.
WITH held AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS held (kind, key, attempt)
), beat AS (
    UPDATE jobs SET due = now() + $4::interval FROM held
    -- A job that was given back, or that awaits a client, waits for its own time and not for ours.
    WHERE jobs.kind = held.kind AND jobs.key = held.key AND jobs.attempt = held.attempt AND jobs.worker IS NOT NULL
)
SELECT held.kind, held.key, held.attempt FROM held JOIN jobs USING (kind, key) WHERE jobs.attempt <> held.attempt

-- name: release
UPDATE jobs SET due = now() + $4::interval, worker = NULL WHERE kind = $1 AND key = $2 AND attempt = $3

-- name: complete
DELETE FROM jobs WHERE kind = $1 AND key = $2 AND attempt = $3
