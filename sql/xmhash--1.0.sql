-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION xmhash" to load this file. \quit

------------------------------------------------------------------------
-- The type bitcode
------------------------------------------------------------------------

------------------------------------------------------------------------
-- The index access method
------------------------------------------------------------------------

------------------------------------------------------------------------
-- Models: storage, training, encoding
------------------------------------------------------------------------

-- Rows of these tables are written by the module's functions, as the owner of
-- the tables and after a check of the model's owner.  PUBLIC may read and
-- insert under row security alone, which is what pg_dump and pg_restore need
-- for a role that bypasses row security; nobody is granted UPDATE or DELETE,
-- so a trained model stays as it is.

CREATE TABLE xmhash_model (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    owner regrole NOT NULL,
    method text NOT NULL,
    bits integer NOT NULL,
    image_dimensions integer NOT NULL,
    text_dimensions integer NOT NULL,
    image_hidden integer NOT NULL,
    text_hidden integer NOT NULL,
    image_scales integer NOT NULL,
    text_scales integer NOT NULL,
    classes text[],
    source jsonb,
    options jsonb,
    status text NOT NULL CHECK (status IN ('training', 'trained', 'diverged', 'imported')),
    pairs bigint,
    digest bigint,
    created timestamp with time zone NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE xmhash_model IS 'models of xmhash; see the view xmhash_models';

CREATE TABLE xmhash_model_part (
    model uuid NOT NULL REFERENCES xmhash_model ON DELETE CASCADE,
    part integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (model, part)
);
ALTER TABLE xmhash_model_part ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE xmhash_model_part IS 'weights of the models of xmhash, little-endian float32, in parts of at most 16 MB';

CREATE TABLE xmhash_training_log (
    model uuid NOT NULL REFERENCES xmhash_model ON DELETE CASCADE,
    epoch integer NOT NULL,
    loss double precision NOT NULL,
    loss_terms jsonb NOT NULL,
    learning_rate double precision NOT NULL,
    seconds double precision NOT NULL,
    validation_map double precision,
    PRIMARY KEY (model, epoch)
);
COMMENT ON TABLE xmhash_training_log IS 'one row an epoch of the trainings of xmhash; see the view xmhash_training';

CREATE TABLE xmhash_checkpoint (
    model uuid PRIMARY KEY REFERENCES xmhash_model ON DELETE CASCADE,
    epoch integer NOT NULL,
    threads integer NOT NULL,
    blas text NOT NULL,
    floats bigint NOT NULL,
    best_epoch integer,
    best_map double precision
);
COMMENT ON TABLE xmhash_checkpoint IS 'last checkpoint of each unfinished training of xmhash';

CREATE TABLE xmhash_checkpoint_part (
    model uuid NOT NULL REFERENCES xmhash_checkpoint ON DELETE CASCADE,
    part integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (model, part)
);
ALTER TABLE xmhash_checkpoint_part ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE xmhash_checkpoint_part IS 'state of the checkpoints of xmhash: weights and optimizer, little-endian float32, in parts of at most 16 MB';

SELECT pg_catalog.pg_extension_config_dump('xmhash_model', '');
SELECT pg_catalog.pg_extension_config_dump('xmhash_model_part', '');
SELECT pg_catalog.pg_extension_config_dump('xmhash_training_log', '');
SELECT pg_catalog.pg_extension_config_dump('xmhash_checkpoint', '');
SELECT pg_catalog.pg_extension_config_dump('xmhash_checkpoint_part', '');

ALTER TABLE xmhash_model ENABLE ROW LEVEL SECURITY;
ALTER TABLE xmhash_model_part ENABLE ROW LEVEL SECURITY;
ALTER TABLE xmhash_training_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE xmhash_checkpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE xmhash_checkpoint_part ENABLE ROW LEVEL SECURITY;

-- One policy each for reading and for inserting: members of the owner's role.
CREATE POLICY xmhash_owner ON xmhash_model
    USING (pg_catalog.pg_has_role(owner, 'MEMBER'))
    WITH CHECK (pg_catalog.pg_has_role(owner, 'MEMBER'));
CREATE POLICY xmhash_owner ON xmhash_model_part
    USING (EXISTS (SELECT FROM xmhash_model m WHERE m.id = model))
    WITH CHECK (EXISTS (SELECT FROM xmhash_model m WHERE m.id = model));
CREATE POLICY xmhash_owner ON xmhash_training_log
    USING (EXISTS (SELECT FROM xmhash_model m WHERE m.id = model))
    WITH CHECK (EXISTS (SELECT FROM xmhash_model m WHERE m.id = model));
CREATE POLICY xmhash_owner ON xmhash_checkpoint
    USING (EXISTS (SELECT FROM xmhash_model m WHERE m.id = model))
    WITH CHECK (EXISTS (SELECT FROM xmhash_model m WHERE m.id = model));
CREATE POLICY xmhash_owner ON xmhash_checkpoint_part
    USING (EXISTS (SELECT FROM xmhash_model m WHERE m.id = model))
    WITH CHECK (EXISTS (SELECT FROM xmhash_model m WHERE m.id = model));

GRANT SELECT, INSERT ON xmhash_model, xmhash_model_part, xmhash_training_log,
    xmhash_checkpoint, xmhash_checkpoint_part TO PUBLIC;

CREATE FUNCTION xmhash_model_changed() RETURNS trigger
    AS 'MODULE_PATHNAME' LANGUAGE C;
COMMENT ON FUNCTION xmhash_model_changed() IS 'internal: tells every session that its cached models may be out of date';

CREATE TRIGGER xmhash_model_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON xmhash_model
    FOR EACH STATEMENT EXECUTE FUNCTION xmhash_model_changed();

-- A view runs with its owner's rights, to which row security does not apply,
-- so the views repeat the condition for whoever asks.  (security_invoker would
-- need PostgreSQL 15.)  A training holds a lock on its model's name: the row
-- says 'training' without it when that session has ended in an error or crash.
CREATE VIEW xmhash_models WITH (security_barrier) AS
SELECT m.name,
       m.owner,
       m.method,
       m.bits,
       m.image_dimensions,
       m.text_dimensions,
       m.image_hidden,
       m.text_hidden,
       m.classes,
       m.options,
       CASE WHEN m.status <> 'training' THEN m.status
            WHEN EXISTS (SELECT
                         FROM pg_catalog.pg_locks l
                         WHERE l.locktype = 'object' AND l.granted AND l.mode = 'ExclusiveLock'
                           AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                                             WHERE d.datname = pg_catalog.current_database())
                           AND l.classid = m.tableoid
                           AND l.objid::bigint = pg_catalog.hashtextextended(m.name, 0) & 4294967295
                           AND l.objsubid = (pg_catalog.hashtextextended(m.name, 0) >> 32) & 32767)
            THEN 'training' ELSE 'interrupted' END AS status,
       g.epochs_done,
       m.pairs,
       g.loss,
       m.created,
       g.seconds
FROM xmhash_model m
     CROSS JOIN LATERAL (
         SELECT pg_catalog.max(t.epoch) AS epochs_done,
                (SELECT u.loss FROM xmhash_training_log u
                 WHERE u.model = m.id ORDER BY u.epoch DESC LIMIT 1) AS loss,
                pg_catalog.sum(t.seconds) AS seconds
         FROM xmhash_training_log t
         WHERE t.model = m.id) g
WHERE pg_catalog.pg_has_role(m.owner, 'MEMBER');
COMMENT ON VIEW xmhash_models IS 'the models that the current user may use';

CREATE VIEW xmhash_training WITH (security_barrier) AS
SELECT m.name AS model,
       t.epoch,
       (m.options ->> 'epochs')::integer AS epochs,
       t.loss,
       t.loss_terms,
       t.learning_rate,
       t.seconds,
       t.validation_map
FROM xmhash_training_log t
     JOIN xmhash_model m ON m.id = t.model
WHERE pg_catalog.pg_has_role(m.owner, 'MEMBER');
COMMENT ON VIEW xmhash_training IS 'one row an epoch for the models that the current user may use';

GRANT SELECT ON xmhash_models, xmhash_training TO PUBLIC;

CREATE PROCEDURE xmhash_train(
    model text,
    relation regclass,
    image_column name,
    text_column name,
    bits integer,
    method text DEFAULT 'jdsh',
    label_column name DEFAULT NULL,
    options jsonb DEFAULT '{}')
    AS 'MODULE_PATHNAME' LANGUAGE C;
COMMENT ON PROCEDURE xmhash_train(text, regclass, name, name, integer, text, name, jsonb)
    IS 'train a model on pairs of image and text features; outside a transaction block it commits every epoch';

CREATE FUNCTION xmhash_encode_image(model text, features real[]) RETURNS bitcode
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION xmhash_encode_image(text, real[]) IS 'code of an image by a trained model';

CREATE FUNCTION xmhash_encode_text(model text, features real[]) RETURNS bitcode
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION xmhash_encode_text(text, real[]) IS 'code of a text by a trained model';

CREATE FUNCTION xmhash_drop_model(model text) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
COMMENT ON FUNCTION xmhash_drop_model(text) IS 'drop a model, its training log and its checkpoint';

CREATE FUNCTION xmhash_rename_model(model text, new_name text) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
COMMENT ON FUNCTION xmhash_rename_model(text, text) IS 'give a model another name';

CREATE FUNCTION xmhash_bag_of_words(document tsvector, dimensions integer) RETURNS real[]
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION xmhash_bag_of_words(tsvector, integer)
    IS 'hashed bag of words: how often a word of each bucket occurs';

------------------------------------------------------------------------
-- Evaluation
------------------------------------------------------------------------
