/*
 * bitcode/value.c: making codes, and the checks every way into the type shares.
 */
#include "bitcode/bitcode.h"

Bitcode *
bitcode_make(int bits)
{
	Size		size = VARBITTOTALLEN(bits);
	Bitcode    *code;

	Assert(bits >= 1 && bits <= BITCODE_MAX_BITS);
	code = palloc0(size);
	SET_VARSIZE(code, size);
	BITCODE_BITS(code) = bits;
	return code;
}

void
bitcode_to_words(const Bitcode *code, uint64 *words)
{
	words[BITCODE_WORDS(code) - 1] = 0;
	/* Not BITCODE_BYTES: of a ball that would be more. */
	memcpy(words, BITCODE_DATA(code), (BITCODE_BITS(code) + BITS_PER_BYTE - 1) / BITS_PER_BYTE);
}

/* So a code kept out of line is not fetched whole. */
int
bitcode_datum_bits(Datum datum)
{
	struct varlena *start = (struct varlena *) PG_DETOAST_DATUM_SLICE(datum, 0, sizeof(int32));
	int32		bits;

	memcpy(&bits, VARDATA_ANY(start), sizeof(bits));
	return bits;
}

/*
 * One SQLSTATE for every wrong length, whether a code cannot have it, a type
 * modifier forbids it or a second code differs: callers handle one case.
 */
bool
bitcode_check_length(int64 bits, Node *escontext)
{
	if (bits >= 1 && bits <= BITCODE_MAX_BITS)
		return true;
	soft_ereport(escontext,
				 (errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
				  errmsg("bitcode length %lld is out of range", (long long) bits),
				  errdetail("A bitcode has 1 to %d bits.", BITCODE_MAX_BITS)));
	return false;
}

bool
bitcode_check_typmod(int bits, int32 typmod, Node *escontext)
{
	if (typmod < 0 || typmod == bits)
		return true;
	soft_ereport(escontext,
				 (errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
				  errmsg("bitcode length %d does not match type bitcode(%d)",
						 bits, typmod)));
	return false;
}

void
bitcode_lengths_differ(int a, int b)
{
	ereport(ERROR,
			(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
			 errmsg("different bitcode lengths %d and %d", a, b)));
}
