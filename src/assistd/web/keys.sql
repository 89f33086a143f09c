-- name: find_key
SELECT project_id FROM api_keys WHERE hash = $1 AND revoked_at IS NULL

-- name: any_key
SELECT EXISTS (SELECT FROM api_keys)

-- name: add_project
INSERT INTO projects (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING

-- name: get_project
SELECT id FROM projects WHERE name = $1

-- name: add_key
INSERT INTO api_keys (id, project_id, name, hash, hint) VALUES ($1, $2, $3, $4, $5)

-- name: list_keys
SELECT k.id, k.name, p.name AS project, k.hint, k.created_at, k.revoked_at
FROM api_keys k JOIN projects p ON p.id = k.project_id
ORDER BY k.created_at, k.id

-- name: revoke_key
UPDATE api_keys SET revoked_at = unix_now() WHERE id = $1 AND revoked_at IS NULL RETURNING id

-- name: announce
SELECT pg_notify('assistd_keys', '')
