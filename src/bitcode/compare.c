/*
 * bitcode/compare.c: equality, order and hashing of bitcode.
 *
 * The order is that of bit varying: bytes first, then the length.  Since the
 * padding is zero, 01 sorts before 010, and codes are equal exactly when their
 * bytes are, so hashing and btree deduplication may take the bytes.
 */
#include "bitcode/bitcode.h"

#include "common/hashfn.h"
#include "lib/hyperloglog.h"
#include "port/pg_bswap.h"
#include "utils/sortsupport.h"

XMHASH_FUNCTION(bitcode_eq);
XMHASH_FUNCTION(bitcode_ne);
XMHASH_FUNCTION(bitcode_lt);
XMHASH_FUNCTION(bitcode_le);
XMHASH_FUNCTION(bitcode_gt);
XMHASH_FUNCTION(bitcode_ge);
XMHASH_FUNCTION(bitcode_cmp);
XMHASH_FUNCTION(bitcode_sortsupport);
XMHASH_FUNCTION(bitcode_hash);
XMHASH_FUNCTION(bitcode_hash_extended);

static int
compare_refs(const BitcodeRef *a, const BitcodeRef *b)
{
	int			order = memcmp(a->data, b->data, Min(a->bytes, b->bytes));

	if (order == 0 && a->bits != b->bits)
		order = a->bits < b->bits ? -1 : 1;
	return order;
}

static int
compare_datums(Datum x, Datum y)
{
	BitcodeRef a = DatumGetBitcodeRef(x);
	BitcodeRef b = DatumGetBitcodeRef(y);
	int			order = compare_refs(&a, &b);

	bitcode_ref_release(&a, x);
	bitcode_ref_release(&b, y);
	return order;
}

/* Unlike the order, equality is settled by a different length alone. */
static bool
compare_equal(Datum x, Datum y)
{
	BitcodeRef a = DatumGetBitcodeRef(x);
	BitcodeRef b = DatumGetBitcodeRef(y);
	bool		equal = a.bits == b.bits && memcmp(a.data, b.data, a.bytes) == 0;

	bitcode_ref_release(&a, x);
	bitcode_ref_release(&b, y);
	return equal;
}

Datum
bitcode_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_equal(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)));
}

Datum
bitcode_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!compare_equal(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)));
}

Datum
bitcode_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_datums(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)) < 0);
}

Datum
bitcode_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_datums(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)) <= 0);
}

Datum
bitcode_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_datums(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)) > 0);
}

Datum
bitcode_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_datums(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)) >= 0);
}

Datum
bitcode_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_datums(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)));
}

/*
 * Sorting.  The abbreviated key is the first bytes of the code as a big-endian
 * number, zero beyond the end: a smaller key proves a smaller code, and equal
 * keys leave the decision to the full comparison.
 */
typedef struct BitcodeSort
{
	int64		seen;			/* codes abbreviated so far */
	hyperLogLogState keys;		/* their distinct keys, estimated */
} BitcodeSort;

static int
compare_full(Datum x, Datum y, SortSupport ssup)
{
	return compare_datums(x, y);
}

static Datum
compare_abbreviate(Datum original, SortSupport ssup)
{
	BitcodeSort *sort = ssup->ssup_extra;
	BitcodeRef code = DatumGetBitcodeRef(original);
	Datum		key = 0;

	memcpy(&key, code.data, Min(code.bytes, (int) sizeof(key)));
	key = DatumBigEndianToNative(key);
	sort->seen++;
	addHyperLogLog(&sort->keys,
				   DatumGetUInt32(hash_any((unsigned char *) &key, sizeof(key))));
	bitcode_ref_release(&code, original);
	return key;
}

/*
 * Give up where keys decide little: codes that share their beginning.  Early
 * figures say little, and hash codes repeat by design, so one distinct key in
 * a hundred codes still pays: each comparison of keys saves two detoastings.
 */
static bool
compare_abort_abbreviation(int memtupcount, SortSupport ssup)
{
	BitcodeSort *sort = ssup->ssup_extra;

	if (memtupcount < 10000 || sort->seen < 10000)
		return false;
	return estimateHyperLogLog(&sort->keys) < sort->seen / 100.0 + 1.0;
}

Datum
bitcode_sortsupport(PG_FUNCTION_ARGS)
{
	SortSupport ssup = (SortSupport) PG_GETARG_POINTER(0);
	MemoryContext old = MemoryContextSwitchTo(ssup->ssup_cxt);

	ssup->comparator = compare_full;
	if (ssup->abbreviate)
	{
		BitcodeSort *sort = palloc(sizeof(BitcodeSort));

		sort->seen = 0;
		initHyperLogLog(&sort->keys, 10);
		ssup->ssup_extra = sort;
		ssup->comparator = ssup_datum_unsigned_cmp;
		ssup->abbrev_converter = compare_abbreviate;
		ssup->abbrev_abort = compare_abort_abbreviation;
		ssup->abbrev_full_comparator = compare_full;
	}
	MemoryContextSwitchTo(old);
	PG_RETURN_VOID();
}

/* The hash takes the bit length too, which lies right before the bits. */
Datum
bitcode_hash(PG_FUNCTION_ARGS)
{
	BitcodeRef code = DatumGetBitcodeRef(PG_GETARG_DATUM(0));
	Datum		hash = hash_any(code.data - sizeof(int32), code.bytes + sizeof(int32));

	bitcode_ref_release(&code, PG_GETARG_DATUM(0));
	return hash;
}

Datum
bitcode_hash_extended(PG_FUNCTION_ARGS)
{
	BitcodeRef code = DatumGetBitcodeRef(PG_GETARG_DATUM(0));
	Datum		hash = hash_any_extended(code.data - sizeof(int32),
										 code.bytes + sizeof(int32),
										 PG_GETARG_INT64(1));

	bitcode_ref_release(&code, PG_GETARG_DATUM(0));
	return hash;
}
