-- name: enqueue
-- A job that waits already is made ready; one that is being worked on stays with its worker.
INSERT INTO jobs (kind, key, project_id) VALUES ($1, $2, $3)
ON CONFLICT (kind, key) DO UPDATE SET due = LEAST(jobs.due, now()), ready = true WHERE jobs.worker IS NULL

-- name: enqueue_claimed
-- The process that enqueues also takes the job: no other needs to wake up for it.
INSERT INTO jobs (kind, key, project_id, due, attempt, worker, ready)
VALUES ($1, $2, $3, now() + $4::interval, 1, $5, false)
ON CONFLICT (kind, key) DO UPDATE
SET due = EXCLUDED.due, attempt = jobs.attempt + 1, worker = EXCLUDED.worker, ready = false WHERE jobs.worker IS NULL
RETURNING attempt

-- name: enqueue_offered
-- An offer looks like a claim of the worker that it is made to, which runs out soon.
INSERT INTO jobs (kind, key, project_id, due, worker, ready) VALUES ($1, $2, $3, now() + $4::interval, $5, false)
ON CONFLICT (kind, key) DO UPDATE
SET due = EXCLUDED.due, worker = EXCLUDED.worker, ready = false WHERE jobs.worker IS NULL

-- name: announce_offer
SELECT pg_notify('assistd_job_offers', $1)

-- name: accept
UPDATE jobs SET due = now() + $3::interval, attempt = attempt + 1
WHERE kind = $1 AND key = $2 AND worker = $4 AND due > now()
RETURNING attempt, project_id

-- name: wake
SELECT pg_notify('assistd_jobs', $1)

-- name: take
-- Fair shares by project. Whatever the length of the queue, this looks at as many projects as it may ($6 of those that
-- have jobs ready, in the order of their ids from $5 on and around) and at no more jobs of each than it may take ($4).
-- First come jobs of the projects of which this worker has the fewest under way, then of those it served longest ago:
-- $7 lists the projects that it served, the last one last, and $8 how many of their jobs it has.
WITH RECURSIVE projects AS (
    SELECT next.id, next.id AS first, 1 AS place FROM (
        SELECT COALESCE(
            (SELECT project_id FROM jobs WHERE kind = $1 AND ready AND project_id > $5 ORDER BY project_id LIMIT 1),
            (SELECT project_id FROM jobs WHERE kind = $1 AND ready ORDER BY project_id LIMIT 1)
        )
    ) AS next (id)
    WHERE next.id IS NOT NULL
    UNION ALL
    SELECT next.id, projects.first, projects.place + 1 FROM projects, LATERAL (
        SELECT COALESCE(
            (SELECT project_id FROM jobs WHERE kind = $1 AND ready AND project_id > projects.id
             ORDER BY project_id LIMIT 1),
            (SELECT project_id FROM jobs WHERE kind = $1 AND ready ORDER BY project_id LIMIT 1)
        )
    ) AS next (id)
    WHERE next.id <> projects.first AND projects.place < $6
), due AS (
    SELECT job.* FROM projects, LATERAL (
        SELECT key, project_id, due FROM jobs
        WHERE kind = $1 AND ready AND project_id = projects.id ORDER BY due LIMIT $4
    ) AS job
    UNION ALL (
        SELECT key, project_id, due FROM jobs WHERE kind = $1 AND NOT ready AND due <= now() ORDER BY due LIMIT $4
    )
), chosen AS (
    SELECT key FROM (
        SELECT key, due, row_number() OVER (PARTITION BY project_id ORDER BY due) + COALESCE(busy, 0) AS share,
            COALESCE(served.place, 0) AS place
        FROM due
        LEFT JOIN unnest($7::text[], $8::integer[]) WITH ORDINALITY AS served (project_id, busy, place)
            USING (project_id)
    ) AS ranked
    ORDER BY share, place, due LIMIT $4
)
-- One that nobody gave back was lost by its worker.
UPDATE jobs SET due = now() + $2::interval, attempt = attempt + 1, worker = $3, ready = false,
    lost = lost + (worker IS NOT NULL)::int
WHERE kind = $1 AND key IN (
    SELECT jobs.key FROM jobs JOIN chosen USING (key)
    WHERE jobs.kind = $1 AND jobs.due <= now() FOR UPDATE OF jobs SKIP LOCKED
)
RETURNING kind, key, attempt, project_id

-- name: next_due
-- Seconds until the next job of this kind may be claimed; null where there is none.
SELECT CASE WHEN EXISTS (SELECT FROM jobs WHERE kind = $1 AND ready) THEN 0 ELSE (
    SELECT extract(epoch FROM min(due) - now())::float8 FROM jobs WHERE kind = $1 AND NOT ready
) END

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
UPDATE jobs SET due = now() + $4::interval, worker = NULL, ready = $4::interval <= interval '0'
WHERE kind = $1 AND key = $2 AND attempt = $3

-- name: complete
DELETE FROM jobs WHERE kind = $1 AND key = $2 AND attempt = $3
