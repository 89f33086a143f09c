-- name: create
INSERT INTO assistants (
    id, project_id, name, description, model, instructions, tools, tool_resources, metadata,
    temperature, top_p, response_format, reasoning_effort
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
RETURNING *

-- name: get
SELECT * FROM assistants WHERE id = $1 AND project_id = $2

-- name: lock
SELECT * FROM assistants WHERE id = $1 AND project_id = $2 FOR UPDATE

-- name: modify
UPDATE assistants SET
    name = $3,
    description = $4,
    model = COALESCE($5, model),
    instructions = $6,
    tools = COALESCE($7, tools),
    tool_resources = COALESCE($8, tool_resources),
    metadata = COALESCE($9, metadata),
    temperature = COALESCE($10, temperature),
    top_p = COALESCE($11, top_p),
    response_format = COALESCE($12, response_format),
    reasoning_effort = $13
WHERE id = $1 AND project_id = $2
RETURNING *

-- name: delete
WITH gone AS (
    DELETE FROM assistants WHERE id = $1 AND project_id = $2 RETURNING id, project_id, seq
)
INSERT INTO tombstones (id, project_id, seq) SELECT id, project_id, seq FROM gone RETURNING id

-- name: list_place
SELECT seq FROM assistants WHERE id = $1 AND project_id = $2
UNION ALL
SELECT seq FROM tombstones WHERE id = $1 AND project_id = $2

-- name: list_asc
SELECT * FROM assistants WHERE project_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq ASC LIMIT $4

-- name: list_desc
SELECT * FROM assistants WHERE project_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4
