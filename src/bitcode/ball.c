/*
 * bitcode/ball.c: the type hamming_ball, a code and a radius in one value.
 *
 * An index condition is an operator with the index's column on one side and
 * one value on the other.  hamming_within(code, query, radius) has two, so it
 * becomes code <@ hamming_ball(query, radius).  An exclusion constraint compares
 * values of one type, so "no two codes within 3" is of balls about them.  Text
 * form: (0101,3); binary form: int32 radius, then the code's own.
 */
#include "bitcode/ball.h"

#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

XMHASH_FUNCTION(hamming_ball_make);
XMHASH_FUNCTION(hamming_ball_make_from_bits);
XMHASH_FUNCTION(hamming_ball_in);
XMHASH_FUNCTION(hamming_ball_out);
XMHASH_FUNCTION(hamming_ball_recv);
XMHASH_FUNCTION(hamming_ball_send);
XMHASH_FUNCTION(hamming_ball_eq);
XMHASH_FUNCTION(hamming_ball_ne);
XMHASH_FUNCTION(hamming_ball_lt);
XMHASH_FUNCTION(hamming_ball_le);
XMHASH_FUNCTION(hamming_ball_gt);
XMHASH_FUNCTION(hamming_ball_ge);
XMHASH_FUNCTION(hamming_ball_cmp);
XMHASH_FUNCTION(hamming_ball_hash);
XMHASH_FUNCTION(hamming_ball_hash_extended);
XMHASH_FUNCTION(bitcode_in_ball);
XMHASH_FUNCTION(ball_contains_bitcode);
XMHASH_FUNCTION(hamming_ball_mutual);

extern Datum bitcode_in(PG_FUNCTION_ARGS);
extern Datum bitcode_out(PG_FUNCTION_ARGS);
extern Datum bitcode_recv(PG_FUNCTION_ARGS);

Datum
ball_make(Datum code, int32 radius)
{
	BitcodeRef ref = DatumGetBitcodeRef(code);
	Size		size = VARHDRSZ + sizeof(int32) + ref.bytes + sizeof(radius);
	char	   *ball = palloc(size);
	char	   *next = VARDATA(ball);

	SET_VARSIZE(ball, size);
	memcpy(next, &ref.bits, sizeof(int32));
	memcpy(next + sizeof(int32), ref.data, ref.bytes);
	memcpy(next + sizeof(int32) + ref.bytes, &radius, sizeof(radius));
	bitcode_ref_release(&ref, code);
	return PointerGetDatum(ball);
}

/*
 * The planner hands bit strings on as codes without a look at their length
 * (bitcode/support.c).  What is no code is within no radius: then NULL, which no
 * code is in.
 */
Datum
hamming_ball_make(PG_FUNCTION_ARGS)
{
	int			bits = bitcode_datum_bits(PG_GETARG_DATUM(0));

	if (bits < 1 || bits > BITCODE_MAX_BITS)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(ball_make(PG_GETARG_DATUM(0), PG_GETARG_INT32(1)));
}

Datum
hamming_ball_make_from_bits(PG_FUNCTION_ARGS)
{
	bitcode_check_length(bitcode_datum_bits(PG_GETARG_DATUM(0)), NULL);
	PG_RETURN_DATUM(ball_make(PG_GETARG_DATUM(0), PG_GETARG_INT32(1)));
}

Datum
hamming_ball_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	char	   *comma = strrchr(text, ',');
	Size		length = strlen(text);
	char	   *code;
	char	   *radius;

	if (length < 2 || text[0] != '(' || text[length - 1] != ')' || comma == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type hamming_ball: \"%s\"", text),
				 errdetail("A ball is written as a code and a radius: (0101,3).")));
	code = pnstrdup(text + 1, comma - text - 1);
	radius = pnstrdup(comma + 1, text + length - 1 - (comma + 1));
	PG_RETURN_DATUM(ball_make(DirectFunctionCall3(bitcode_in, CStringGetDatum(code),
														ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)),
									pg_strtoint32(radius)));
}

Datum
hamming_ball_out(PG_FUNCTION_ARGS)
{
	BitcodeRef ball = DatumGetBitcodeRef(PG_GETARG_DATUM(0));

	PG_RETURN_CSTRING(psprintf("(%s,%d)",
							   DatumGetCString(DirectFunctionCall1(bitcode_out, PG_GETARG_DATUM(0))),
							   ball_radius(&ball)));
}

Datum
hamming_ball_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int32		radius = (int32) pq_getmsgint(buf, sizeof(int32));

	PG_RETURN_DATUM(ball_make(DirectFunctionCall3(bitcode_recv, PointerGetDatum(buf),
														ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)),
									radius));
}

Datum
hamming_ball_send(PG_FUNCTION_ARGS)
{
	BitcodeRef ball = DatumGetBitcodeRef(PG_GETARG_DATUM(0));
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendint32(&buf, ball_radius(&ball));
	pq_sendint32(&buf, ball.bits);
	pq_sendbytes(&buf, (const char *) ball.data, ball.bytes);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* ---------- Comparison ---------- */

/* The centers in the order of codes, bytes first, then the radii. */
static int
ball_compare(FunctionCallInfo fcinfo)
{
	BitcodeRef a = DatumGetBitcodeRef(PG_GETARG_DATUM(0));
	BitcodeRef b = DatumGetBitcodeRef(PG_GETARG_DATUM(1));
	int			order = memcmp(a.data, b.data, Min(a.bytes, b.bytes));

	if (order == 0 && a.bits != b.bits)
		order = a.bits < b.bits ? -1 : 1;
	if (order == 0 && ball_radius(&a) != ball_radius(&b))
		order = ball_radius(&a) < ball_radius(&b) ? -1 : 1;
	bitcode_ref_release(&a, PG_GETARG_DATUM(0));
	bitcode_ref_release(&b, PG_GETARG_DATUM(1));
	return order;
}

Datum
hamming_ball_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ball_compare(fcinfo) == 0);
}

Datum
hamming_ball_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ball_compare(fcinfo) != 0);
}

Datum
hamming_ball_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ball_compare(fcinfo) < 0);
}

Datum
hamming_ball_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ball_compare(fcinfo) <= 0);
}

Datum
hamming_ball_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ball_compare(fcinfo) > 0);
}

Datum
hamming_ball_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ball_compare(fcinfo) >= 0);
}

Datum
hamming_ball_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(ball_compare(fcinfo));
}

/* Equal balls have equal bytes: those behind the varlena header are hashed. */
Datum
hamming_ball_hash(PG_FUNCTION_ARGS)
{
	struct varlena *ball = PG_GETARG_VARLENA_PP(0);
	Datum		hash = hash_any((unsigned char *) VARDATA_ANY(ball), VARSIZE_ANY_EXHDR(ball));

	PG_FREE_IF_COPY(ball, 0);
	return hash;
}

Datum
hamming_ball_hash_extended(PG_FUNCTION_ARGS)
{
	struct varlena *ball = PG_GETARG_VARLENA_PP(0);
	Datum		hash = hash_any_extended((unsigned char *) VARDATA_ANY(ball), VARSIZE_ANY_EXHDR(ball),
										 PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(ball, 0);
	return hash;
}

/* ---------- Membership ---------- */

/*
 * What hamming_within() says, of a ball and a code, or the center of a ball.
 * Leakproof, so different lengths are no error.
 */
static bool
ball_holds(const BitcodeRef *ball, const BitcodeRef *code, int32 radius)
{
	return code->bits == ball->bits &&
		hamming_kernels->distance(code->data, ball->data, code->bytes) <= radius;
}

static bool
ball_holds_code(Datum ball_datum, Datum code_datum)
{
	BitcodeRef ball = DatumGetBitcodeRef(ball_datum);
	BitcodeRef code = DatumGetBitcodeRef(code_datum);
	bool		result = ball_holds(&ball, &code, ball_radius(&ball));

	bitcode_ref_release(&ball, ball_datum);
	bitcode_ref_release(&code, code_datum);
	return result;
}

Datum
bitcode_in_ball(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ball_holds_code(PG_GETARG_DATUM(1), PG_GETARG_DATUM(0)));
}

Datum
ball_contains_bitcode(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ball_holds_code(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)));
}

/*
 * Does each ball hold the other's center?  So the operator is its own
 * commutator, as exclusion constraints ask for, and the distance allowed
 * between two codes with balls of radius r about them is r.
 */
Datum
hamming_ball_mutual(PG_FUNCTION_ARGS)
{
	BitcodeRef a = DatumGetBitcodeRef(PG_GETARG_DATUM(0));
	BitcodeRef b = DatumGetBitcodeRef(PG_GETARG_DATUM(1));
	bool		result = ball_holds(&a, &b, Min(ball_radius(&a), ball_radius(&b)));

	bitcode_ref_release(&a, PG_GETARG_DATUM(0));
	bitcode_ref_release(&b, PG_GETARG_DATUM(1));
	PG_RETURN_BOOL(result);
}
