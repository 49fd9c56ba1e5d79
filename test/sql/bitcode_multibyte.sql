-- The position of an offending character counts characters, not bytes.
SELECT getdatabaseencoding() <> 'UTF8' AS skip \gset
\if :skip
\quit
\endif
SET client_encoding = 'UTF8';
SELECT '01é'::bitcode;
SELECT 'xé'::bitcode;
SELECT '漢字01'::bitcode;
SELECT '0101😀0'::bitcode;
