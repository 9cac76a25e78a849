-- One account's memory. Rows are only ever added, each at the end, each bound to the one before it:
--   hash = sha256(prev_hash || JSON array [seq,run,at_ns,input_seq,kind,version,actor] || newline || body)
-- and the first row's prev_hash is meta.genesis = sha256("aether journal" || newline || JSON [account,tag,created_ns]).
-- JSON is compact UTF-8. `body` is the fact as canonical JSON.
-- AUTOINCREMENT is here for its side effect: sqlite_sequence remembers the last row even where rows were cut off the end.

CREATE TABLE meta (
  account TEXT NOT NULL,
  tag TEXT NOT NULL,
  created_ns INTEGER NOT NULL,
  genesis BLOB NOT NULL
) STRICT;

CREATE TABLE facts (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  run INTEGER NOT NULL,
  at_ns INTEGER NOT NULL,
  input_seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  version INTEGER NOT NULL,
  actor TEXT NOT NULL,
  body BLOB NOT NULL,
  prev_hash BLOB NOT NULL,
  hash BLOB NOT NULL
) STRICT;

-- Fills are counted once, by the venue's id of the execution. The core sees to it; this is the second net.
-- The cast: SQLite 3.45 and later would take a bare blob for its own binary JSON.
CREATE UNIQUE INDEX fill_once ON facts (json_extract(CAST(body AS TEXT), '$.exec_id')) WHERE kind = 'OrderFilled';

-- Also the answer to a write whose caller was cancelled before it failed: the next row finds its place empty.
CREATE TRIGGER facts_follow BEFORE INSERT ON facts
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM facts)
  OR NEW.prev_hash IS NOT coalesce((SELECT hash FROM facts ORDER BY seq DESC LIMIT 1), (SELECT genesis FROM meta))
BEGIN
  SELECT RAISE(ABORT, 'this row does not follow the last one');
END;

CREATE TRIGGER facts_kept BEFORE DELETE ON facts
BEGIN
  SELECT RAISE(ABORT, 'the journal is append-only: no row is deleted');
END;

CREATE TRIGGER facts_unchanged BEFORE UPDATE ON facts
BEGIN
  SELECT RAISE(ABORT, 'the journal is append-only: no row is changed');
END;

CREATE TRIGGER meta_once BEFORE INSERT ON meta WHEN (SELECT count(*) FROM meta) > 0
BEGIN
  SELECT RAISE(ABORT, 'a journal has one account');
END;

CREATE TRIGGER meta_kept BEFORE DELETE ON meta
BEGIN
  SELECT RAISE(ABORT, 'the journal is append-only: its account stays');
END;

CREATE TRIGGER meta_unchanged BEFORE UPDATE ON meta
BEGIN
  SELECT RAISE(ABORT, 'the journal is append-only: its account stays');
END;
