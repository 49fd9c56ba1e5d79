/*
 * bitcode/distance.c: the Hamming distance of two codes.
 */
#include "bitcode/bitcode.h"

XMHASH_FUNCTION(bitcode_hamming_distance);
XMHASH_FUNCTION(bitcode_hamming_within);

Datum
bitcode_hamming_distance(PG_FUNCTION_ARGS)
{
	BitcodeRef a = DatumGetBitcodeRef(PG_GETARG_DATUM(0));
	BitcodeRef b = DatumGetBitcodeRef(PG_GETARG_DATUM(1));

	if (unlikely(a.bits != b.bits))
		bitcode_lengths_differ(a.bits, b.bits);
	PG_RETURN_INT32(hamming_kernels->distance(a.data, b.data, a.bytes));
}

/*
 * Codes of different lengths are not within any radius of each other, as they
 * are not equal.  So nothing can be learned from an error about codes that a
 * security barrier hides, and the function is leakproof.
 */
Datum
bitcode_hamming_within(PG_FUNCTION_ARGS)
{
	BitcodeRef a = DatumGetBitcodeRef(PG_GETARG_DATUM(0));
	BitcodeRef b = DatumGetBitcodeRef(PG_GETARG_DATUM(1));
	bool		within = a.bits == b.bits &&
	hamming_kernels->distance(a.data, b.data, a.bytes) <= PG_GETARG_INT32(2);

	bitcode_ref_release(&a, PG_GETARG_DATUM(0));
	bitcode_ref_release(&b, PG_GETARG_DATUM(1));
	PG_RETURN_BOOL(within);
}
