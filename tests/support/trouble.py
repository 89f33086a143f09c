"""A PostgreSQL that refuses what it would do on another day."""

from __future__ import annotations

# States in which it is the database that is at fault, one of each kind.
STATES = ("08006", "25006", "25P03", "40001", "40P01", "53100", "53200", "53300", "55P03", "55006", "57014", "57P01")

# A sequence counts the tries, because it forgets nothing when a transaction is rolled back.
_TROUBLE = """
CREATE SEQUENCE tries;
CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    tried integer;
BEGIN
    tried := nextval('tries');
    IF tried <= TG_NARGS THEN
        RAISE EXCEPTION 'made up' USING ERRCODE = TG_ARGV[tried - 1];
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trouble BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION trouble({states});
"""


def trouble(table: str, when: str, *states: str) -> str:
    """SQL that has the first writes to a table refused, with one SQLSTATE after the other."""
    return _TROUBLE.format(when=when, table=table, states=", ".join(f"'{state}'" for state in states))
