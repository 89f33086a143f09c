-- name: get
SELECT * FROM steps WHERE id = $2 AND run_id = $1

-- name: list_place
SELECT seq FROM steps WHERE id = $1 AND run_id = $2

-- name: list_asc
SELECT * FROM steps WHERE run_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq ASC LIMIT $4

-- name: list_desc
SELECT * FROM steps WHERE run_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4
