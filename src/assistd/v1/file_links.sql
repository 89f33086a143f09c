-- name: linked
SELECT file_id FROM assistant_files WHERE assistant_id = $1 ORDER BY seq

-- name: link
INSERT INTO assistant_files (assistant_id, file_id)
SELECT $1, id FROM unnest($2::text[]) WITH ORDINALITY AS new (id, place) ORDER BY place
ON CONFLICT DO NOTHING

-- name: unlink
DELETE FROM assistant_files WHERE assistant_id = $1 AND file_id = ANY ($2::text[]) RETURNING file_id

-- name: get
SELECT f.* FROM assistant_files f JOIN assistants a ON a.id = f.assistant_id
WHERE f.assistant_id = $2 AND f.file_id = $3 AND a.project_id = $1

-- name: files_place
SELECT seq FROM assistant_files WHERE assistant_id = $2 AND file_id = $1
UNION ALL
SELECT seq FROM tombstones WHERE id = $2 || '/' || $1
LIMIT 1

-- name: files_asc
SELECT * FROM assistant_files WHERE assistant_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq ASC LIMIT $4

-- name: files_desc
SELECT * FROM assistant_files WHERE assistant_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4

-- name: of_assistants
SELECT assistant_id AS id, json_agg(file_id ORDER BY seq) AS file_ids FROM assistant_files
WHERE assistant_id = ANY ($1::text[]) GROUP BY assistant_id

-- name: of_runs
SELECT id, file_ids FROM runs WHERE id = ANY ($1::text[])
