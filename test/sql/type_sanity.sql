-- What the catalogue says of our functions, operators and operator classes agrees with itself, as core's opr_sanity demands of core's.
CREATE TEMP VIEW ours AS SELECT classid, objid FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid AND d.refclassid = 'pg_extension'::regclass WHERE extname = 'xmhash' AND deptype = 'e';
CREATE TEMP VIEW our_operator AS SELECT o.* FROM pg_operator o JOIN ours ON objid = o.oid AND classid = 'pg_operator'::regclass;
CREATE TEMP VIEW our_function AS SELECT p.* FROM pg_proc p JOIN ours ON objid = p.oid AND classid = 'pg_proc'::regclass;
SELECT (SELECT count(*) FROM our_operator) >= 34 AS operators, (SELECT count(*) FROM our_function) >= 100 AS functions;
-- commutators: of swapped operands, with the same result, and mutual; only ~ and || have none
SELECT o.oid::regoperator AS commutator_missing FROM our_operator o WHERE oprcom = 0 AND oprname NOT IN ('~', '||');
SELECT o.oid::regoperator AS commutator_wrong FROM our_operator o JOIN pg_operator c ON c.oid = o.oprcom WHERE c.oprcom <> o.oid OR c.oprleft <> o.oprright OR c.oprright <> o.oprleft OR c.oprresult <> o.oprresult;
-- negators: of the same operands, boolean, mutual; only membership has none
SELECT o.oid::regoperator AS negator_missing FROM our_operator o WHERE oprnegate = 0 AND oprresult = 'boolean'::regtype AND oprname NOT IN ('<@', '@>', '<@>');
SELECT o.oid::regoperator AS negator_wrong FROM our_operator o JOIN pg_operator n ON n.oid = o.oprnegate WHERE n.oprnegate <> o.oid OR n.oprleft <> o.oprleft OR n.oprright <> o.oprright OR n.oprresult <> 'boolean'::regtype OR n.oid = o.oid;
-- functions of an operator, its commutator and its negator promise the same
SELECT o.oid::regoperator AS promises_differ, other.oid::regoperator FROM our_operator o JOIN pg_proc f ON f.oid = o.oprcode JOIN pg_operator other ON other.oid IN (o.oprcom, o.oprnegate) JOIN pg_proc g ON g.oid = other.oprcode
WHERE (f.provolatile, f.proisstrict, f.proleakproof, f.proparallel, f.procost) IS DISTINCT FROM (g.provolatile, g.proisstrict, g.proleakproof, g.proparallel, g.procost);
SELECT o.oid::regoperator AS not_as_promised FROM our_operator o JOIN pg_proc f ON f.oid = o.oprcode WHERE provolatile <> 'i' OR NOT proisstrict OR proparallel <> 's' OR (oprresult = 'boolean'::regtype AND NOT proleakproof);
-- selectivities where the result is boolean; HASHES and MERGES exactly where an operator family says how
SELECT o.oid::regoperator AS selectivity FROM our_operator o WHERE (oprresult = 'boolean'::regtype) <> (oprrest <> 0) OR (oprresult = 'boolean'::regtype) <> (oprjoin <> 0);
SELECT o.oid::regoperator AS hashes FROM our_operator o WHERE oprcanhash <> EXISTS (SELECT FROM pg_amop a JOIN pg_am m ON m.oid = amopmethod WHERE amopopr = o.oid AND amname = 'hash');
SELECT o.oid::regoperator AS merges FROM our_operator o WHERE oprcanmerge <> EXISTS (SELECT FROM pg_amop a JOIN pg_am m ON m.oid = amopmethod WHERE amopopr = o.oid AND amname = 'btree' AND amopstrategy = 3);
-- operator families: sound to their access methods, without operators of core's but those of filter columns, and nothing of ours in core's
SELECT c.opcname, amname, amvalidate(c.oid) FROM pg_opclass c JOIN ours ON objid = c.oid AND classid = 'pg_opclass'::regclass JOIN pg_am m ON m.oid = opcmethod ORDER BY 1, 2;
SELECT amopopr::regoperator FROM pg_amop a JOIN pg_opfamily f ON f.oid = amopfamily WHERE (amopopr IN (SELECT oid FROM our_operator)) <> (f.oid IN (SELECT objid FROM ours WHERE classid = 'pg_opfamily'::regclass) AND opfname !~ '_filter_ops$');
-- those of filter columns compare as the types' btree families do, or are equal as their hash families are
SELECT opfname, amopopr::regoperator AS not_as_core FROM pg_amop a JOIN pg_opfamily f ON f.oid = amopfamily WHERE opfname ~ '_filter_ops$' AND NOT EXISTS
(SELECT FROM pg_amop b JOIN pg_am m ON m.oid = b.amopmethod WHERE b.amopopr = a.amopopr AND (amname, b.amopstrategy) IN (('btree', a.amopstrategy - 4), ('hash', a.amopstrategy - 6)));
SELECT amproc::regprocedure AS support_function FROM pg_amproc JOIN pg_opfamily f ON f.oid = amprocfamily JOIN pg_proc p ON p.oid = amproc
WHERE f.oid IN (SELECT objid FROM ours WHERE classid = 'pg_opfamily'::regclass) AND (provolatile <> 'i' OR NOT proisstrict OR proparallel <> 's');
-- binary and text format of each type; what depends on no setting is immutable
SELECT typname, typinput <> 0 AND typoutput <> 0 AND typreceive <> 0 AND typsend <> 0 AS complete, i.provolatile AS input, o.provolatile AS output, r.provolatile AS receive, s.provolatile AS send
FROM pg_type t JOIN pg_proc i ON i.oid = typinput JOIN pg_proc o ON o.oid = typoutput JOIN pg_proc r ON r.oid = typreceive JOIN pg_proc s ON s.oid = typsend WHERE typname IN ('bitcode', 'hamming_ball') ORDER BY 1;
SELECT p.oid::regprocedure AS not_parallel_safe FROM our_function p WHERE proparallel <> 's' AND (p.proname ~ '^(bitcode|hamming|bit_)' OR prorettype = 'bitcode'::regtype) ORDER BY 1;
SELECT p.oid::regprocedure AS not_immutable, provolatile FROM our_function p WHERE provolatile <> 'i' AND p.proname ~ '^(bitcode|hamming|bit_|to_|ball_)' AND proname !~ '_support$' ORDER BY 1;
SELECT p.oid::regprocedure AS not_strict FROM our_function p WHERE NOT proisstrict AND prokind = 'f' AND p.proname ~ '^(bitcode|hamming|bit_|to_|ball_)' ORDER BY 1;
-- nothing becomes a code implicitly, and no function or operator is on core's types alone
SELECT castsource::regtype, casttarget::regtype FROM pg_cast JOIN ours ON objid = pg_cast.oid AND classid = 'pg_cast'::regclass WHERE castcontext = 'i' AND castsource <> casttarget;
SELECT o.oid::regoperator AS on_core_types FROM our_operator o WHERE oprleft < 16384 AND oprright < 16384;
SELECT p.oid::regprocedure AS takes_a_core_name FROM our_function p WHERE NOT (SELECT bool_or(t >= 16384) FROM unnest(proargtypes) t) AND EXISTS (SELECT FROM pg_proc c WHERE c.proname = p.proname AND c.pronamespace = 'pg_catalog'::regnamespace);
SELECT pg_describe_object(classid, objid, 0) AS without_comment FROM ours WHERE obj_description(objid, classid::regclass::name) IS NULL AND classid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_cast'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_am'::regclass) ORDER BY 1;
