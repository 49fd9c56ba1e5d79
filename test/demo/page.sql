-- What demo.sql measured, as one web page without outside resources, on
-- standard output.  Called in the database demo with the variable
--   drawings   the folder of the drawings (svg of Debian's openclipart-svg),
--              or nothing: then titles stand for them
-- A drawing is shown by <img> from a data URI: there a browser neither runs
-- scripts nor loads anything.  The page's content security policy allows the
-- style sheets on it, by their hashes, and such pictures; nothing else.
\set QUIET on
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
\set style `cat page.css`

-- Larger drawings would make the page slow; their titles stand for them.
\set largest 200000

CREATE FUNCTION pg_temp.html(text) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT replace(replace(replace(replace($1, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;')
$$;

CREATE TEMP TABLE plot AS
SELECT xmhash_plot_training('clipart64') AS jdsh,
       xmhash_plot_training('labelled64') AS dmsh_ln,
       xmhash_plot_precision_recall('test_pair', '{image_code,text_code,labelled_image_code,labelled_text_code,kernel_image_code,kernel_text_code,kernel_labelled_image_code,kernel_labelled_text_code}'::name[],
                                    'test_pair', '{text_code,image_code,labelled_text_code,labelled_image_code,kernel_text_code,kernel_image_code,kernel_labelled_text_code,kernel_labelled_image_code}'::name[],
                                    'category', '{JDSH to texts,JDSH to drawings,DMsH-LN to texts,DMsH-LN to drawings,ridge to texts,ridge to drawings,ridge+labels to texts,ridge+labels to drawings}') AS precision_recall;

CREATE TEMP TABLE drawing AS
SELECT id, bytes, CASE WHEN bytes <= :largest THEN translate(encode(pg_read_binary_file(file, 0, bytes), 'base64'), E'\n', '') END AS base64
FROM (SELECT id, file, CASE WHEN :'drawings' <> '' THEN (pg_stat_file(file, true)).size END AS bytes
      FROM (SELECT id, :'drawings' || '/' || path AS file FROM pair WHERE id IN (SELECT id FROM found)) AS named) AS measured;

SELECT '<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src ''none''; img-src data:; base-uri ''none''; form-action ''none''; style-src '
       || (SELECT string_agg(DISTINCT '''sha256-' || encode(sha256(convert_to(sheet, 'UTF8')), 'base64') || '''', ' ')
           FROM (SELECT :'style' AS sheet
                 UNION ALL
                 SELECT (regexp_matches(concat(jdsh, dmsh_ln, precision_recall), '<style>(.*?)</style>', 'g'))[1] FROM plot) AS sheets)
       || '">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>xmhash: finding drawings by words in PostgreSQL</title>
<style>' || :'style' || '</style>
</head>
<body>';

-- ------------------------------------------------------------------ header

SELECT format('<header>
<h1>Finding drawings by words, inside PostgreSQL</h1>
<p>Four models were trained, by three methods, in the database, on pairs of a drawing and its words. They turn both into codes of 64 bits: a drawing
is found by the words whose code differs from its own in the fewest bits. The index searches them exactly. This page was written by
<code>make demo</code>, from what it measured on this machine.</p>
<dl class="facts">
<div><dt>pairs trained on</dt><dd>%s</dd></div>
<div><dt>pairs searched, never trained on</dt><dd>%s</dd></div>
<div><dt>size of the index, %s codes</dt><dd>%s</dd></div>
<div><dt>seconds in all</dt><dd>%s</dd></div>
</dl>
<nav aria-label="Contents"><ul>
<li><a href="#found">Drawings found</a></li>
<li><a href="#quality">How good it is</a></li>
<li><a href="#training">Training</a></li>
<li><a href="#seconds">Seconds</a></li>
<li><a href="#sql">The SQL</a></li>
</ul></nav>
</header>
<main>',
       (SELECT to_char(count(*), 'FM999,999') FROM train_pair), (SELECT to_char(count(*), 'FM999,999') FROM test_pair),
       (SELECT to_char(count(image_code), 'FM999,999') FROM pair), pg_size_pretty(pg_relation_size('pair_image_code')),
       (SELECT to_char(sum(seconds), 'FM9990.0') FROM step_seconds));

-- ---------------------------------------------------------- drawings found

SELECT format('<section id="found" aria-labelledby="found-title">
<h2 id="found-title">A dozen words, and the six drawings nearest to each</h2>
<p>Searched are only the %s test pairs, none of which the model was trained on, and only the drawings’ codes: the search sees no title and
no keyword. A drawing whose own title or keywords have the words is framed and marked <span class="mark">✓</span>; the others may suit as well, or
not at all. The words were chosen by hand among those that at least 39 of the pairs trained on bear, some that this model (JDSH: linear, 64 bits,
from 64 features a drawing, without labels) has learned and some that it has not; whatever it found is shown. In all %s of %s have the words,
by chance it would be %s.</p>',
       (SELECT to_char(count(*), 'FM999,999') FROM test_pair), sum(has_words::int), count(*), (SELECT round(sum(has_words), 1) FROM by_chance))
FROM found;

SELECT format('<article class="query" aria-labelledby="query-%s"><header><h3 id="query-%1$s">%s</h3><p class="score">%s of 6 have the words; by chance %s</p></header>
<ol class="hits">
%s
</ol></article>',
       query.number, pg_temp.html(query.words), sum(found.has_words::int), round(min(by_chance.has_words), 2),
       string_agg(format('<li%s>%s<p class="caption"><span class="title">%s%s</span> <small>%s, %s bits apart</small></p></li>',
                         CASE WHEN found.has_words THEN ' class="has-words"' END,
                         CASE WHEN drawing.base64 IS NOT NULL
                              THEN format('<img alt="%s" width="144" height="128" decoding="async" src="data:image/svg+xml;base64,%s">',
                                          'drawing: ' || pg_temp.html(pair.title), drawing.base64)
                              WHEN drawing.bytes IS NOT NULL
                              THEN format('<span class="absent">a drawing of %s, too large to show here</span>', pg_size_pretty(drawing.bytes)) END,
                         CASE WHEN found.has_words THEN '<span class="mark" role="img" aria-label="has the words">✓</span> ' END,
                         pg_temp.html(pair.title), replace(pair.category, '_', ' '), found.distance),
                  E'\n' ORDER BY found.rank))
FROM query JOIN found USING (number) JOIN by_chance USING (number) JOIN pair USING (id) JOIN drawing USING (id)
GROUP BY query.number, query.words ORDER BY query.number;

-- ----------------------------------------------------------------- quality

SELECT format('</section>
<section id="quality" aria-labelledby="quality-title">
<h2 id="quality-title">How good it is</h2>
<p>Each test pair’s drawing ranks the words of all test pairs, and its words rank all drawings. What has the same of the 14 categories counts as
relevant; equal distances are averaged over their orders. A model without labels has never heard of categories.</p>
<div class="scroll" role="region" aria-label="Mean average precision" tabindex="0"><table>
<caption>Mean average precision over the test pairs</caption>
<thead><tr><th scope="col">trained by</th><th scope="col">direction</th><th scope="col" class="number">mAP</th><th scope="col" class="number">by chance</th></tr></thead>
<tbody>
%s
</tbody></table></div>',
       string_agg(format('<tr><th scope="row">%s</th><td>%s</td><td class="number">%s</td><td class="number">%s</td></tr>',
                         trained, direction, to_char(quality.map, 'FM0.000'), to_char(chance.map, 'FM0.000')), E'\n' ORDER BY number))
FROM quality, chance;

SELECT format('<figure><div class="scroll" role="region" aria-label="Precision over recall" tabindex="0">%s</div>
<figcaption>Precision over recall of the rankings of the test pairs, both ways, by each model.</figcaption></figure>
</section>', precision_recall) FROM plot;

-- ---------------------------------------------------------------- training

SELECT format('<section id="training" aria-labelledby="training-title">
<h2 id="training-title">Training</h2>
<figure><div class="scroll" role="region" aria-label="Loss of JDSH by epoch" tabindex="0">%s</div>
<figcaption>JDSH, without labels: cosines of the codes approach those of the features, in each kind of pair (cross: drawing and words; image; text; pair: a drawing and its own words, whose cosine is wanted high).</figcaption></figure>
<figure><div class="scroll" role="region" aria-label="Loss of DMsH-LN by epoch" tabindex="0">%s</div>
<figcaption>DMsH-LN, with labels: what is of the same category draws together, the rest apart, among and between images (i), texts (t) and labels (y). The two methods’ losses can’t be compared.</figcaption></figure>
<p>Kernel ridge hashing has no epochs: it solves for its weights in closed form.</p>
</section>', jdsh, dmsh_ln) FROM plot;

-- ----------------------------------------------------------------- seconds

SELECT format('<section id="seconds" aria-labelledby="seconds-title">
<h2 id="seconds-title">Seconds each step took</h2>
<div class="scroll" role="region" aria-label="Seconds" tabindex="0"><table>
<caption>Everything from an empty database</caption>
<thead><tr><th scope="col">step</th><th scope="col" class="number">seconds</th><td></td></tr></thead>
<tbody>
%s
</tbody>
<tfoot><tr><th scope="row">in all</th><td class="number">%s</td><td></td></tr></tfoot>
</table></div>
</section>',
       string_agg(format('<tr><th scope="row">%s</th><td class="number">%s</td><td><svg class="bar" aria-hidden="true" viewBox="0 0 100 4" preserveAspectRatio="none"><rect width="%s" height="4"/></svg></td></tr>',
                         pg_temp.html(name), to_char(seconds, 'FM9990.000'), round(100 * seconds / longest, 2)), E'\n' ORDER BY number),
       to_char(sum(seconds), 'FM9990.000'))
FROM step_seconds, (SELECT max(seconds) AS longest FROM step_seconds) AS steps WHERE number > 0;

-- --------------------------------------------------------------------- SQL

SELECT '<section id="sql" aria-labelledby="sql-title">
<h2 id="sql-title">The SQL</h2>
<p>This is all it takes; the whole of it is <code>test/demo/demo.sql</code>.</p>
<div class="scroll" role="region" aria-label="The SQL" tabindex="0"><pre><code>' || pg_temp.html($sql$CREATE EXTENSION xmhash;
CALL xmhash_train('clipart64', 'train_pair', 'image_features', 'text_features', 64);
CALL xmhash_encode_table('clipart64', 'pair', 'image_features', 'image_code', 'text_features', 'text_code');
CREATE INDEX ON pair USING xmhash (image_code);

SELECT title FROM pair
ORDER BY image_code <~> xmhash_encode_text('clipart64', xmhash_bag_of_words(to_tsvector('english', 'road sign'), 1024))
LIMIT 6;$sql$) || '</code></pre></div>
</section>
</main>';

SELECT format('<footer>
<p>xmhash %s on PostgreSQL %s, %s. The drawings, their titles and keywords are from the Open Clip Art Library, which is in the public domain%s.</p>
</footer>
</body>
</html>',
       (SELECT extversion FROM pg_extension WHERE extname = 'xmhash'), current_setting('server_version'), to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
       CASE WHEN :'drawings' = '' THEN '; install Debian’s package openclipart-svg to see them here' ELSE ', as packaged in Debian’s openclipart-svg' END);
