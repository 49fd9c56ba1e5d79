/*
 * bitcode/bitcode.h: the type bitcode.
 */
#ifndef BITCODE_H
#define BITCODE_H

#include "xmhash.h"

#include "core/hamming.h"
#include "nodes/pathnodes.h"
#include "utils/varbit.h"

/*
 * A bitcode has the bytes of core's bit varying, VarBit: varlena header, bit
 * length, bits MSB first, the unused bits of the last byte zero.  What differs
 * is that it always has 1 to BITCODE_MAX_BITS bits.  Every way in checks that,
 * but the cast from bit(n) believes the declared length, and whoever makes a
 * cast of a type of theirs to bit(n) need not keep it.  So what would go wrong
 * with another length has to look: BitcodeRef alone promises nothing.
 */
typedef VarBit Bitcode;

/* The setting xmhash.bitcode_output. */
typedef enum BitcodeOutput
{
	BITCODE_OUTPUT_BINARY,
	BITCODE_OUTPUT_HEX
} BitcodeOutput;

#define BITCODE_MAX_BITS HAMMING_MAX_BITS

#define DatumGetBitcodeP(X)		((Bitcode *) PG_DETOAST_DATUM(X))
#define PG_RETURN_BITCODE_P(x)	PG_RETURN_POINTER(x)

#define BITCODE_BITS(c)			VARBITLEN(c)
#define BITCODE_BYTES(c)		VARBITBYTES(c)
#define BITCODE_DATA(c)			VARBITS(c)
#define BITCODE_WORDS(c)		HAMMING_WORDS(BITCODE_BITS(c))

/*
 * A code looked at where it lies.  Stored codes of up to 976 bits carry a
 * header of one byte, which puts the rest at any address: a Bitcode pointer
 * would have to copy them first, so what runs once a row uses this instead.
 */
typedef struct BitcodeRef
{
	int			bits;
	int			bytes;
	const uint8 *data;
	struct varlena *varlena;	/* the datum itself, or its detoasted copy */
} BitcodeRef;

static inline BitcodeRef
DatumGetBitcodeRef(Datum datum)
{
	BitcodeRef ref;
	int32		bits;

	ref.varlena = PG_DETOAST_DATUM_PACKED(datum);
	memcpy(&bits, VARDATA_ANY(ref.varlena), sizeof(bits));
	ref.bits = bits;
	ref.bytes = (bits + BITS_PER_BYTE - 1) / BITS_PER_BYTE;
	ref.data = (const uint8 *) VARDATA_ANY(ref.varlena) + sizeof(bits);
	return ref;
}

/* Free a detoasted copy: for functions a sort or an index calls without end. */
static inline void
bitcode_ref_release(const BitcodeRef *ref, Datum datum)
{
	if ((Pointer) ref->varlena != DatumGetPointer(datum))
		pfree(ref->varlena);
}

/* Word i of a code, bytes in memory order, zero beyond the end. */
static inline uint64
bitcode_ref_word(const BitcodeRef *ref, int i)
{
	uint64		word = 0;
	int			rest = ref->bytes - i * (int) sizeof(word);

	if (rest >= (int) sizeof(word))
		memcpy(&word, ref->data + i * sizeof(word), sizeof(word));
	else
		memcpy(&word, ref->data + i * sizeof(word), rest);
	return word;
}

/* A new code of that many bits, all zero. */
extern Bitcode *bitcode_make(int bits);

/* Copy a code into HAMMING_WORDS(bits) words, zero padded. */
extern void bitcode_to_words(const Bitcode *code, uint64 *words);

/*
 * Checks of a length: that a code may have it at all, that it is what a type
 * modifier asks for (negative: any), that two codes can be compared.  The
 * first two give false where the caller's error context collects soft errors.
 */
extern bool bitcode_check_length(int64 bits, Node *escontext);
extern bool bitcode_check_typmod(int bits, int32 typmod, Node *escontext);
pg_noreturn extern void bitcode_lengths_differ(int a, int b);

/* A code that has 1 to BITCODE_MAX_BITS bits.  Leakproof functions may raise nothing: they take any. */
static inline BitcodeRef
bitcode_checked_ref(Datum datum)
{
	BitcodeRef ref = DatumGetBitcodeRef(datum);

	if (unlikely(ref.bits < 1 || ref.bits > BITCODE_MAX_BITS))
		bitcode_check_length(ref.bits, NULL);
	return ref;
}

#define PG_GETARG_BITCODE_REF(n)	bitcode_checked_ref(PG_GETARG_DATUM(n))

/* The bit length alone, which stands at the beginning. */
extern int	bitcode_datum_bits(Datum datum);

/*
 * While planning (bitcode/support.c): the length that an expression is declared
 * to have, or -1; an error where a constant cannot be within any radius of a
 * column, because that is declared to have another length.
 */
extern int	bitcode_declared_bits(Node *node, Oid bitcode);
extern void bitcode_check_declared(PlannerInfo *root, Node *column, int bits, Oid bitcode);
extern void bitcode_check_within(PlannerInfo *root, Node *a, Node *b);

#endif							/* BITCODE_H */
