-- Pictures: what is drawn, and that it is one self-contained XML document.
-- Coordinates: x = 66 + 634 · recall, y = 344 − 300 · precision.
CREATE FUNCTION well_formed(svg text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  IF svg ~ '(href|url\(|@import|<script|<image|font-face)' OR regexp_replace(svg, 'http://www.w3.org/2000/svg', '') ~ 'http' THEN
    RETURN 'refers to something outside';
  END IF;
  IF svg !~ '^<svg [^>]*viewBox="0 0 [0-9]+ [0-9]+">\n.*</svg>\n$' OR svg ~ '(nan|inf)' THEN
    RETURN 'no picture: ' || svg;
  END IF;
  -- A server built without libxml cannot tell more.
  PERFORM xmlparse(DOCUMENT svg);
  RETURN 'well-formed';
EXCEPTION WHEN feature_not_supported THEN
  RETURN 'well-formed';
END $$;
CREATE FUNCTION lines(svg text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT m[1] FROM regexp_matches(svg, '<path class="xmhash-line[^>]* (d="[^"]*")', 'g') AS m $$;
CREATE FUNCTION texts(svg text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT m[1] FROM regexp_matches(svg, '<text [^>]*>([^<]*)</text>', 'g') AS m $$;

CREATE TABLE query (code bitcode(8), other bitcode(8), label text);
INSERT INTO query VALUES ('00000000', '11111111', 'cat');
CREATE TABLE "A & B <picture>" (code bitcode(8), label text);
INSERT INTO "A & B <picture>" VALUES ('00000000', 'dog'), ('00000001', 'cat'), ('00000011', 'dog'), ('11111111', NULL);
SELECT xmhash_plot_precision_recall('query', 'code', '"A & B <picture>"', 'code', 'label') AS svg \gset
SELECT well_formed(:'svg');
SELECT texts(:'svg');
-- The ranks' (recall, precision): (0, 0), (1, 1/2), (1, 1/3), (1, 1/4).
SELECT position, recall, round(precision::numeric, 3) AS precision FROM xmhash_precision_recall('query', 'code', '"A & B <picture>"', 'code', 'label') WHERE kind = 'rank';
SELECT lines(:'svg');
SELECT lines(xmhash_plot_precision_recall('query', 'code', '"A & B <picture>"', 'code', 'label', k => 2));
-- Several columns over one another, with names or the columns' own.
SELECT xmhash_plot_precision_recall('query', ARRAY['code', 'other'], '"A & B <picture>"', ARRAY['code', 'code'], 'label') AS svg \gset
SELECT well_formed(:'svg');
SELECT texts(:'svg') OFFSET 15;
SELECT lines(:'svg');
SELECT xmhash_plot_precision_recall('query', ARRAY['code', 'other'], '"A & B <picture>"', ARRAY['code', 'code'], 'label',
                                    names => ARRAY['tab	"and" <markup> & more', 'a name that is far too long for any legend'], k => 3) AS svg \gset
SELECT well_formed(:'svg');
SELECT texts(:'svg') OFFSET 15;
-- No row at all: axes without a line.
CREATE TABLE empty (LIKE query);
SELECT well_formed(xmhash_plot_precision_recall('query', 'code', 'empty', 'code', 'label')), well_formed(xmhash_plot_precision_recall('empty', 'code', 'query', 'code', 'label'));
-- A ranking of many rows is drawn with as many points as one can see.
CREATE TABLE many AS SELECT ('x' || substr(md5(id::text), 1, 4))::bit(16)::bitcode AS code, (id % 3)::text AS label FROM generate_series(1, 20000) AS id;
CREATE VIEW few AS SELECT * FROM many LIMIT 20;
SELECT well_formed(svg), length(svg) < 60000 AS short FROM (SELECT xmhash_plot_precision_recall('few', 'code', 'many', 'code', 'label') AS svg OFFSET 0) AS s;

-- An untyped literal is one column's name.
SELECT xmhash_plot_precision_recall('query', '{code,other}', '"A & B <picture>"', '{code,code}', 'label');
SELECT xmhash_plot_precision_recall('query', '{code,other}'::name[], '"A & B <picture>"', '{code}', 'label');
SELECT xmhash_plot_precision_recall('query', '{code,other}'::name[], '"A & B <picture>"', '{code,code}', 'label', '{one}');
SELECT xmhash_plot_precision_recall('query', '{}'::name[], '"A & B <picture>"', '{}', 'label');
SELECT xmhash_plot_precision_recall('query', '{code,NULL}'::name[], '"A & B <picture>"', '{code,code}', 'label');
SELECT xmhash_plot_precision_recall('query', '{code,none}'::name[], '"A & B <picture>"', '{code,code}', 'label');
SELECT xmhash_plot_precision_recall('query', NULL::name[], '"A & B <picture>"', '{code,code}', 'label');
SELECT xmhash_plot_precision_recall('query', array_fill('code'::name, '{33}'), '"A & B <picture>"', array_fill('code'::name, '{33}'), 'label');

SELECT xmhash_plot_training('no_such_model');
SELECT xmhash_plot_training(VARIADIC NULL::regclass[]);
SELECT xmhash_plot_training(NULL);
\set VERBOSITY sqlstate
SELECT xmhash_plot_training();
SELECT xmhash_plot_training('query');
\set VERBOSITY default

SET client_min_messages = warning;
DROP TABLE query, "A & B <picture>", empty, many CASCADE;
DROP FUNCTION well_formed, lines, texts;
