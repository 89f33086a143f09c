-- name: write
-- What was sent, of many runs at once; of a lost lease, nothing. Of two that say the same turn, the newer stays. The
-- runs are held: one that is just being deleted would leave without what is just being written.
INSERT INTO run_prompts (run_id, turn, created_at, shortened, body)
SELECT new.run_id, new.turn, new.created_at, new.shortened, new.body
FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::bigint[], $5::boolean[], $6::bytea[])
     AS new (run_id, lease, turn, created_at, shortened, body)
JOIN runs ON runs.id = new.run_id AND runs.lease = new.lease
FOR KEY SHARE OF runs
ON CONFLICT (run_id, turn) DO UPDATE
SET created_at = EXCLUDED.created_at, shortened = EXCLUDED.shortened, body = EXCLUDED.body
WHERE run_prompts.created_at <= EXCLUDED.created_at

-- name: list_place
-- A prompt's id is its run's, as far as that is its own, and its turn.
SELECT turn FROM run_prompts WHERE run_id = $2 AND 'prompt_' || substr(run_id, 5) || '_' || turn = $1

-- name: list_asc
SELECT * FROM run_prompts WHERE run_id = $1 AND turn > $2::bigint AND turn < $3::bigint ORDER BY turn ASC LIMIT $4

-- name: list_desc
SELECT * FROM run_prompts WHERE run_id = $1 AND turn > $2::bigint AND turn < $3::bigint ORDER BY turn DESC LIMIT $4

-- name: steps
SELECT id, type FROM steps WHERE run_id = $1 ORDER BY seq

-- name: prune
-- Old ones, a bounded number at a time: some are long.
DELETE FROM run_prompts WHERE ctid IN (
    SELECT ctid FROM run_prompts WHERE created_at < unix_now() - $1::bigint LIMIT 500
)
