-- name: find
-- The file of a job, as long as it is to be read.
SELECT v.key, v.store_key, v.chunking_strategy, v.file_id, f.filename, f.bytes, f.blobs, s.embedding_model, s.id AS store_id,
    (SELECT lost FROM jobs WHERE kind = 'ingest' AND key = v.key::text) AS lost
FROM vector_store_files v
JOIN files f ON f.id = v.file_id
JOIN vector_stores s ON s.key = v.store_key
WHERE v.key = $1 AND v.status = 'in_progress'

-- name: hold
-- The row to be ended, if the job is still ours and nobody has cancelled or removed the file.
SELECT v.key FROM vector_store_files v
JOIN jobs j ON j.kind = 'ingest' AND j.key = v.key::text AND j.attempt = $2
WHERE v.key = $1 AND v.status = 'in_progress'
-- Nobody else may end the file meanwhile; but the job's lease is renewed while its passages are written.
FOR UPDATE OF v FOR KEY SHARE OF j

-- name: complete
UPDATE vector_store_files SET status = 'completed', chunks = $2, usage_bytes = $3, last_error = NULL WHERE key = $1

-- name: fail
UPDATE vector_store_files SET status = 'failed', chunks = 0, usage_bytes = 0, last_error = $2 WHERE key = $1
