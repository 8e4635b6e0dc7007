-- The history, version 1. One SQLite file; embedded into the program at build time and applied as the
-- first migration (migrations.cc). Tables are singular; what people query are the views of views.cc,
-- plural (`runs`, `cells`, …) or named like a record kind (`readout`, …). SCHEMA.md is the page.
--
-- Conventions: times are UTC, ISO 8601 with milliseconds ("2026-02-03T10:00:00.000Z"); hashes are
-- lower-case hex; JSON is stored as text; a foreign key column has the name of the table it points to.

CREATE TABLE meta (                     -- facts about this file
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE migration (                -- what has been applied, in order
  number     INTEGER PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  applied_at TEXT NOT NULL
);

-- ── runs ──────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE run (                      -- one execution of an experiment, or one imported report
  id              INTEGER PRIMARY KEY,
  name            TEXT NOT NULL UNIQUE, -- "B3.21-20260203T100000Z-a1b2"; "B3.21-recorded-0123abcd"
  milestone       TEXT NOT NULL,
  title           TEXT NOT NULL,        -- JSON {"en": …, "es": …}
  prose           TEXT NOT NULL,        -- JSON {"question": {"en": …}, "outcome": …}
  spec_path       TEXT NOT NULL,
  spec_text       TEXT NOT NULL,        -- the YAML as it was read
  resolved        TEXT NOT NULL,        -- JSON: commit, tree, image, model, prompts, variants
  baseline        TEXT NOT NULL,        -- JSON ["B3.20@recorded", …]
  "commit"        TEXT,                 -- `commit` of resolved; NULL when it says none
  provenance      TEXT NOT NULL CHECK (provenance IN ('recorded', 'executed', 'reenacted')),
  status          TEXT NOT NULL CHECK (status IN ('running', 'complete', 'failed', 'interrupted')),
  started_at      TEXT NOT NULL,
  ended_at        TEXT,                 -- NULL while it runs
  note            TEXT NOT NULL DEFAULT '',
  accepted        INTEGER NOT NULL DEFAULT 0,  -- 1: the baseline of its milestone
  process_id      INTEGER,              -- the greta that runs it, …
  process_started INTEGER,              -- … its start time in clock ticks since boot: pids are reused
  process_host    TEXT                  -- … and where that pid means something: host, boot, namespace
);
CREATE INDEX run_by_milestone ON run (milestone, started_at);
CREATE UNIQUE INDEX run_one_accepted ON run (milestone) WHERE accepted = 1;

CREATE TABLE cell (                     -- variant × prompt × repeat of a run
  id           INTEGER PRIMARY KEY,
  run          INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
  identity     TEXT NOT NULL,           -- SHA-256 of everything that counts; '' for recorded figures
  variant      TEXT NOT NULL,           -- "GRETA_X=a,GRETA_Y=b"; "default" without a matrix
  variant_json TEXT NOT NULL,           -- {"GRETA_X": "a", …}
  prompt       TEXT,                    -- prompt id; NULL where a recorded figure names none
  repeat       INTEGER NOT NULL,
  status       TEXT NOT NULL,           -- ok, failed, timeout, killed
  reason       TEXT NOT NULL DEFAULT '',
  bundle       INTEGER REFERENCES bundle (id),  -- NULL when nothing could be kept
  request      TEXT NOT NULL,           -- id of the request inside the bundle
  cached       INTEGER NOT NULL         -- 1: an earlier run had executed it
);
CREATE UNIQUE INDEX cell_once ON cell (run, variant, ifnull(prompt, ''), repeat);
CREATE INDEX cell_by_identity ON cell (identity) WHERE identity <> '';
CREATE INDEX cell_by_bundle ON cell (bundle);

CREATE TABLE cell_axis (                -- the same variant, one row an axis, to group and join by
  cell  INTEGER NOT NULL REFERENCES cell (id) ON DELETE CASCADE,
  axis  TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (cell, axis)
) WITHOUT ROWID;

CREATE TABLE gate (                     -- what was expected of a run, and what came out
  run         INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
  position    INTEGER NOT NULL,         -- order in the spec, from 0
  id          TEXT NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('pass', 'fail', 'not_measured', 'error')),
  row_count   INTEGER NOT NULL,         -- records looked at
  failed      INTEGER NOT NULL,         -- rows or groups that did not hold
  measured    TEXT NOT NULL,            -- worst value, as text
  limit_value TEXT NOT NULL,            -- what it was compared with
  worst       TEXT NOT NULL,            -- the worst row: "variant=…, prompt=p4_sys, layer=3"
  message     TEXT NOT NULL,
  query       TEXT NOT NULL,            -- the SQL that found it
  PRIMARY KEY (run, id)
) WITHOUT ROWID;

-- ── bundles: what one attempt left, immutable ─────────────────────────────────────────────────────

CREATE TABLE bundle (
  id               INTEGER PRIMARY KEY,
  hash             TEXT NOT NULL UNIQUE,  -- SHA-256 of the manifest's bytes
  provenance       TEXT NOT NULL CHECK (provenance IN ('recorded', 'executed', 'reenacted')),
  status           TEXT NOT NULL CHECK (status IN ('ok', 'failed', 'timeout', 'killed')),
  exit_code        INTEGER,
  signal           INTEGER,
  reason           TEXT NOT NULL,
  started_at       TEXT NOT NULL,
  ended_at         TEXT NOT NULL,
  wall_s           REAL,
  contract_version INTEGER,
  milestone        TEXT NOT NULL,
  executor         TEXT NOT NULL,
  argv             TEXT NOT NULL,         -- JSON list
  variant          TEXT NOT NULL,
  variant_json     TEXT NOT NULL,
  repeat           INTEGER NOT NULL,
  "commit"         TEXT,                  -- environment.commit; NULL when unknown
  manifest         BLOB NOT NULL          -- manifest.json, exactly its bytes
);

CREATE TABLE content (                  -- file contents by hash: equal files are kept once
  id     INTEGER PRIMARY KEY,
  sha256 TEXT NOT NULL UNIQUE,
  bytes  INTEGER NOT NULL
);

CREATE TABLE content_chunk (            -- pieces of about 1 MiB, cut at line ends, each one zstd frame
  content     INTEGER NOT NULL REFERENCES content (id) ON DELETE CASCADE,
  byte_offset INTEGER NOT NULL,         -- of its first byte in the file
  bytes       INTEGER NOT NULL,         -- uncompressed
  zstd        BLOB NOT NULL,
  PRIMARY KEY (content, byte_offset)
);

CREATE TABLE bundle_file (
  id      INTEGER PRIMARY KEY,
  bundle  INTEGER NOT NULL REFERENCES bundle (id) ON DELETE CASCADE,
  name    TEXT NOT NULL,                -- "out/readout.jsonl"
  role    TEXT NOT NULL,                -- records, log, effective, describe, …
  kind    TEXT NOT NULL,                -- of its lines that carry no `event`; '' means the file's stem
  content INTEGER NOT NULL REFERENCES content (id),
  first_record INTEGER,                 -- its lines are the records first_record … + lines - 1;
  lines   INTEGER NOT NULL DEFAULT 0,   -- NULL and 0 for a file that holds no records
  UNIQUE (bundle, name)
);
CREATE INDEX bundle_file_by_content ON bundle_file (content);

CREATE TABLE bundle_environment (       -- what could change a result: commit, image, model, hardware
  bundle INTEGER NOT NULL REFERENCES bundle (id) ON DELETE CASCADE,
  key    TEXT NOT NULL,
  value  TEXT NOT NULL,
  PRIMARY KEY (bundle, key)
) WITHOUT ROWID;

CREATE TABLE bundle_flag (
  bundle INTEGER NOT NULL REFERENCES bundle (id) ON DELETE CASCADE,
  name   TEXT NOT NULL,
  value  TEXT NOT NULL,
  source TEXT NOT NULL,                 -- env, default; 'given' when the engine left no effective.json
  read   INTEGER,                       -- 1 something read it, 0 nothing did, NULL unknown
  PRIMARY KEY (bundle, name)
) WITHOUT ROWID;

CREATE TABLE bundle_kernel (            -- every kernel that the engine launched
  bundle    INTEGER NOT NULL REFERENCES bundle (id) ON DELETE CASCADE,
  id        TEXT NOT NULL,
  op        TEXT NOT NULL,
  variant   TEXT NOT NULL,
  code_hash TEXT NOT NULL,
  launches  INTEGER NOT NULL,
  PRIMARY KEY (bundle, id, code_hash)
) WITHOUT ROWID;

CREATE TABLE bundle_prompt (
  bundle INTEGER NOT NULL REFERENCES bundle (id) ON DELETE CASCADE,
  id     TEXT NOT NULL,
  sha256 TEXT,
  text   TEXT,                          -- NULL when not known, or given as token ids
  PRIMARY KEY (bundle, id)
) WITHOUT ROWID;

-- ── records: every line of every records file ─────────────────────────────────────────────────────

CREATE TABLE request (                  -- one prompt served inside a bundle
  id       INTEGER PRIMARY KEY,
  bundle   INTEGER NOT NULL REFERENCES bundle (id) ON DELETE CASCADE,
  name     TEXT NOT NULL,               -- '' collects the lines that name no request: every bundle has it
  declared INTEGER NOT NULL,            -- 1: the manifest or a cell names it; 0: only lines do
  UNIQUE (bundle, name)
);

-- Which runs a request belongs to. A cached bundle serves several runs, each with its own row, so a
-- record appears once in each of them. Requests that are not declared (and '') belong to every run that
-- uses the bundle, without a prompt. variant, prompt and repeat are copied from the cell: the views
-- join through here for every record. migrations.cc adds is_result: 1 where the cell (of lines without
-- a cell, any cell of the bundle in this run) ended ok; the views of the record kinds see no others.
CREATE TABLE member (
  run     INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
  request INTEGER NOT NULL REFERENCES request (id) ON DELETE CASCADE,
  cell    INTEGER REFERENCES cell (id) ON DELETE CASCADE,
  variant TEXT NOT NULL,
  prompt  TEXT,
  repeat  INTEGER NOT NULL,
  PRIMARY KEY (run, request)
) WITHOUT ROWID;
CREATE INDEX member_by_request ON member (request);
CREATE INDEX member_by_cell ON member (cell);

CREATE TABLE kind (                     -- record kinds seen or described
  id         INTEGER PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,      -- as the lines say it
  table_name TEXT NOT NULL UNIQUE COLLATE NOCASE,  -- rec_<name>
  view_name  TEXT NOT NULL UNIQUE COLLATE NOCASE,  -- <name>, or <name>_records where that is taken
  doc        TEXT NOT NULL DEFAULT ''
);

CREATE TABLE field (                    -- columns of the typed tables: what each one means
  kind        INTEGER NOT NULL REFERENCES kind (id),
  position    INTEGER NOT NULL,         -- order of the columns
  column_name TEXT NOT NULL COLLATE NOCASE,
  name        TEXT NOT NULL,            -- the field in the JSON line
  type        TEXT NOT NULL,            -- text integer real boolean hash list; number, json when not described
  role        TEXT NOT NULL,            -- key value hash context address timing
  optional    INTEGER NOT NULL,
  unit        TEXT NOT NULL,
  doc         TEXT NOT NULL,
  version     INTEGER NOT NULL,         -- 1; 2 … when a later description gave another type
  described   INTEGER NOT NULL,         -- 0: made on the fly from the values
  misfit      INTEGER NOT NULL,         -- 1: holds values that did not fit the field's own column
  PRIMARY KEY (kind, column_name)
) WITHOUT ROWID;

-- Every line ever stored. Typed values are in rec_<kind> (record, request, fields…), one row for each
-- line whose state is ok, duplicate_keys or nonstandard.
CREATE TABLE record (
  id          INTEGER PRIMARY KEY,
  file        INTEGER NOT NULL REFERENCES bundle_file (id) ON DELETE CASCADE,
  line        INTEGER NOT NULL,         -- from 1
  byte_offset INTEGER NOT NULL,         -- of its first byte in the file
  length      INTEGER NOT NULL,         -- bytes, without the newline
  kind        INTEGER NOT NULL REFERENCES kind (id),
  request     INTEGER NOT NULL REFERENCES request (id),
  state       INTEGER NOT NULL          -- 0 ok, 1 duplicate_keys, 2 nonstandard, 3 blank, 4 torn, 5 invalid
);
CREATE INDEX record_by_request ON record (request);
