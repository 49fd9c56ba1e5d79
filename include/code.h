/*
 * code.h: the type bitcode.
 */
#ifndef CODE_H
#define CODE_H

#include "xmhash.h"

#include "hamming.h"
#include "utils/varbit.h"

/*
 * A bitcode has the bytes of core's bit varying, VarBit: varlena header, bit
 * length, bits MSB first, the unused bits of the last byte zero.  So casts
 * from bit and bit varying are binary coercible.
 */
typedef VarBit Bitcode;

#define BITCODE_MAX_BITS HAMMING_MAX_BITS

#define DatumGetBitcodeP(X)		((Bitcode *) PG_DETOAST_DATUM(X))
#define PG_GETARG_BITCODE_P(n)	DatumGetBitcodeP(PG_GETARG_DATUM(n))
#define PG_RETURN_BITCODE_P(x)	PG_RETURN_POINTER(x)

#define BITCODE_BITS(c)			VARBITLEN(c)
#define BITCODE_BYTES(c)		VARBITBYTES(c)
#define BITCODE_DATA(c)			VARBITS(c)
#define BITCODE_WORDS(c)		HAMMING_WORDS(BITCODE_BITS(c))

/* A new code of that many bits, all zero. */
extern Bitcode *bitcode_make(int bits);

/* Copy a code into HAMMING_WORDS(bits) words, zero padded, and back. */
extern void bitcode_to_words(const Bitcode *code, uint64 *words);
extern Bitcode *bitcode_from_words(const uint64 *words, int bits);

#endif							/* CODE_H */
