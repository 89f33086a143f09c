-- What the playground asks for: finding threads by their metadata, and what was sent to the model in each turn.

-- --- finding threads

-- What a thread can be found by, as numbers: its metadata's pairs of key and value, and of the values each character
-- and each two that stand side by side, in lower case. All of it within the project, so that a search goes through no
-- other's. Two things may get the same number: who searches looks at what was found.
CREATE FUNCTION thread_terms(project_id text, metadata json) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (
        SELECT array_agg(DISTINCT hashtextextended(project_id || term, 0))
        FROM json_each_text(metadata) AS entry (key, value), LATERAL (
            SELECT '=' || key || '=' || value
            UNION ALL
            SELECT '~' || unnest(ARRAY[c, c || lead(c) OVER (ORDER BY place)])
            FROM string_to_table(lower(value), NULL) WITH ORDINALITY AS characters (c, place)
        ) AS found (term)
    );

-- The terms of every thread with this metadata, and with a value that contains the text, if one is given.
CREATE FUNCTION sought_terms(project_id text, metadata jsonb, text text) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (
        SELECT array_agg(DISTINCT hashtextextended(project_id || term, 0))
        FROM (
            SELECT '=' || key || '=' || value FROM jsonb_each_text(metadata) AS entry (key, value)
            UNION ALL
            SELECT CASE length(text) WHEN 1 THEN '~' || c ELSE '~' || c || lead(c) OVER (ORDER BY place) END
            FROM string_to_table(lower(text), NULL) WITH ORDINALITY AS characters (c, place)
        ) AS sought (term)
        WHERE term IS NOT NULL
    );

-- Most threads have no metadata and cost nothing here. What was written last waits in a list that every search reads:
-- kept short. Nothing is ever chosen by how many threads share a term, so nobody needs to count them.
CREATE INDEX threads_terms ON threads USING gin (thread_terms(project_id, metadata))
    WITH (gin_pending_list_limit = 256) WHERE metadata::text <> '{}';
ALTER INDEX threads_terms ALTER COLUMN 1 SET STATISTICS 0;

-- --- prompts

-- What was sent to the model in each turn of a run: the body of the request, for those who want to see why it answered
-- as it did. A turn that is done again has what was sent last. Kept as long as the events, and like them without a
-- foreign key.
CREATE TABLE run_prompts (
    run_id     text    NOT NULL,
    turn       integer NOT NULL,   -- of the run, from 1
    created_at bigint  NOT NULL,
    shortened  boolean NOT NULL,   -- pictures, or what was too long, are not in the body any more
    body       bytea   NOT NULL,   -- JSON; a long one is compressed (zlib)
    PRIMARY KEY (run_id, turn)
);
-- PostgreSQL would try once more, and take five times as long.
ALTER TABLE run_prompts ALTER body SET STORAGE EXTERNAL;
CREATE INDEX run_prompts_age ON run_prompts USING brin (created_at);

CREATE OR REPLACE FUNCTION forget_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM jobs WHERE kind = 'run' AND key = OLD.id;
    DELETE FROM run_events WHERE run_id = OLD.id;
    DELETE FROM run_prompts WHERE run_id = OLD.id;
    RETURN NULL;
END
$$;
