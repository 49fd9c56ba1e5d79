/*
 * code_distance.c: the Hamming distance of two codes.
 */
#include "code.h"

XMHASH_FUNCTION(bitcode_hamming_distance);
XMHASH_FUNCTION(bitcode_hamming_within);

static inline int
hamming_distance(FunctionCallInfo fcinfo)
{
	BitcodeView a = PG_GETARG_BITCODE_VIEW(0);
	BitcodeView b = PG_GETARG_BITCODE_VIEW(1);

	if (unlikely(a.bits != b.bits))
		bitcode_lengths_differ(a.bits, b.bits);
	return hamming_kernels->distance(a.data, b.data, a.bytes);
}

Datum
bitcode_hamming_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(hamming_distance(fcinfo));
}

/* A negative radius holds nothing, but lengths are checked all the same. */
Datum
bitcode_hamming_within(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(hamming_distance(fcinfo) <= PG_GETARG_INT32(2));
}
