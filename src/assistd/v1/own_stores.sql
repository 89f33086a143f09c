-- name: of_assistant
-- The vector stores of an assistant that hold nothing but files linked to it, and that nobody else uses.
SELECT s.id FROM assistants a JOIN vector_stores s
    ON (a.tool_resources::jsonb #> '{file_search,vector_store_ids}') ? s.id AND s.project_id = a.project_id
WHERE a.id = $2 AND a.project_id = $1 AND NOT EXISTS (
    SELECT FROM vector_store_files f WHERE f.store_key = s.key
    AND f.file_id NOT IN (SELECT file_id FROM assistant_files WHERE assistant_id = a.id)
) AND NOT EXISTS (
    SELECT FROM assistants o
    WHERE (o.tool_resources::jsonb #> '{file_search,vector_store_ids}') ? s.id AND o.id <> a.id
) AND NOT EXISTS (
    SELECT FROM threads t WHERE (t.tool_resources::jsonb #> '{file_search,vector_store_ids}') ? s.id
)

-- name: of_thread
-- The vector stores of a thread that hold nothing but files of its messages, and that nobody else uses.
SELECT s.id FROM threads t JOIN vector_stores s
    ON (t.tool_resources::jsonb #> '{file_search,vector_store_ids}') ? s.id AND s.project_id = t.project_id
WHERE t.id = $2 AND t.project_id = $1 AND NOT EXISTS (
    SELECT FROM vector_store_files f WHERE f.store_key = s.key
    AND f.file_id NOT IN (
        SELECT attachment ->> 'file_id' FROM messages m, json_array_elements(m.attachments) AS attachment
        WHERE m.thread_id = t.id
    )
) AND NOT EXISTS (
    SELECT FROM threads o
    WHERE (o.tool_resources::jsonb #> '{file_search,vector_store_ids}') ? s.id AND o.id <> t.id
) AND NOT EXISTS (
    SELECT FROM assistants a WHERE (a.tool_resources::jsonb #> '{file_search,vector_store_ids}') ? s.id
)
