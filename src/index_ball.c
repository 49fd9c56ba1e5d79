/*
 * index_ball.c: the type hamming_ball, a code and a radius in one value.
 *
 * An index condition is an operator with the index's column on one side and
 * one value on the other.  hamming_within(code, query, radius) has two, so it
 * becomes code <@ hamming_ball(query, radius).  Text form: (0101,3).
 */
#include "postgres.h"

#include "index_search.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

XMHASH_FUNCTION(hamming_ball_make);
XMHASH_FUNCTION(hamming_ball_in);
XMHASH_FUNCTION(hamming_ball_out);
XMHASH_FUNCTION(bitcode_in_ball);

extern Datum bitcode_in(PG_FUNCTION_ARGS);
extern Datum bitcode_out(PG_FUNCTION_ARGS);

Ballcode *
ballcode_make(Datum code, int32 radius)
{
	BitcodeView view = DatumGetBitcodeView(code);
	Size		size = offsetof(Ballcode, data) + view.bytes;
	Ballcode   *ball = palloc(size);

	SET_VARSIZE(ball, size);
	ball->radius = radius;
	ball->bits = view.bits;
	memcpy(ball->data, view.data, view.bytes);
	bitcode_view_release(&view, code);
	return ball;
}

Datum
hamming_ball_make(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(ballcode_make(PG_GETARG_DATUM(0), PG_GETARG_INT32(1)));
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
	PG_RETURN_POINTER(ballcode_make(DirectFunctionCall3(bitcode_in, CStringGetDatum(code),
														ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)),
									pg_strtoint32(radius)));
}

Datum
hamming_ball_out(PG_FUNCTION_ARGS)
{
	Ballcode   *ball = DatumGetBallcodeP(PG_GETARG_DATUM(0));
	Bitcode    *code = bitcode_make(ball->bits);

	memcpy(BITCODE_DATA(code), ball->data, BITCODE_BYTES(code));
	PG_RETURN_CSTRING(psprintf("(%s,%d)",
							   DatumGetCString(DirectFunctionCall1(bitcode_out, PointerGetDatum(code))),
							   ball->radius));
}

/* What hamming_within() says: leakproof, so different lengths are no error. */
Datum
bitcode_in_ball(PG_FUNCTION_ARGS)
{
	BitcodeView code = PG_GETARG_BITCODE_VIEW(0);
	Ballcode   *ball = DatumGetBallcodeP(PG_GETARG_DATUM(1));
	bool		result = code.bits == ball->bits &&
		hamming_kernels->distance(code.data, ball->data, code.bytes) <= ball->radius;

	bitcode_view_release(&code, PG_GETARG_DATUM(0));
	PG_FREE_IF_COPY(ball, 1);
	PG_RETURN_BOOL(result);
}
