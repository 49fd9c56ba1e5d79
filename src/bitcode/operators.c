/*
 * bitcode/operators.c: bitwise operators and parts of codes, as core has them for
 * bit, with the length rules of bitcode.
 */
#include "bitcode/bitcode.h"

#include "common/int.h"

XMHASH_FUNCTION(bitcode_and);
XMHASH_FUNCTION(bitcode_or);
XMHASH_FUNCTION(bitcode_xor);
XMHASH_FUNCTION(bitcode_not);
XMHASH_FUNCTION(bitcode_concat);
XMHASH_FUNCTION(bitcode_length);
XMHASH_FUNCTION(bitcode_bit_count);
XMHASH_FUNCTION(bitcode_get_bit);
XMHASH_FUNCTION(bitcode_substring);
XMHASH_FUNCTION(bitcode_substring_from);
XMHASH_FUNCTION(bitcode_octet_length);
XMHASH_FUNCTION(bitcode_set_bit);
XMHASH_FUNCTION(bitcode_overlay);
XMHASH_FUNCTION(bitcode_overlay_whole);
XMHASH_FUNCTION(bitcode_position);

/* The bits of the last byte that belong to a code. */
static inline uint8
operators_last_byte_mask(int bits)
{
	return (uint8) (0xFF << ((BITS_PER_BYTE - bits % BITS_PER_BYTE) % BITS_PER_BYTE));
}

/* A new code with the bits of a, to be combined in place with those of b. */
static Bitcode *
operators_copy_for_pair(const BitcodeRef *a, const BitcodeRef *b)
{
	Bitcode    *result;

	if (a->bits != b->bits)
		bitcode_lengths_differ(a->bits, b->bits);
	result = bitcode_make(a->bits);
	memcpy(BITCODE_DATA(result), a->data, a->bytes);
	return result;
}

Datum
bitcode_and(PG_FUNCTION_ARGS)
{
	BitcodeRef a = PG_GETARG_BITCODE_REF(0);
	BitcodeRef b = PG_GETARG_BITCODE_REF(1);
	Bitcode    *result = operators_copy_for_pair(&a, &b);

	for (int i = 0; i < b.bytes; i++)
		BITCODE_DATA(result)[i] &= b.data[i];
	PG_RETURN_BITCODE_P(result);
}

Datum
bitcode_or(PG_FUNCTION_ARGS)
{
	BitcodeRef a = PG_GETARG_BITCODE_REF(0);
	BitcodeRef b = PG_GETARG_BITCODE_REF(1);
	Bitcode    *result = operators_copy_for_pair(&a, &b);

	for (int i = 0; i < b.bytes; i++)
		BITCODE_DATA(result)[i] |= b.data[i];
	PG_RETURN_BITCODE_P(result);
}

Datum
bitcode_xor(PG_FUNCTION_ARGS)
{
	BitcodeRef a = PG_GETARG_BITCODE_REF(0);
	BitcodeRef b = PG_GETARG_BITCODE_REF(1);
	Bitcode    *result = operators_copy_for_pair(&a, &b);

	for (int i = 0; i < b.bytes; i++)
		BITCODE_DATA(result)[i] ^= b.data[i];
	PG_RETURN_BITCODE_P(result);
}

Datum
bitcode_not(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);
	Bitcode    *result = bitcode_make(code.bits);

	for (int i = 0; i < code.bytes; i++)
		BITCODE_DATA(result)[i] = ~code.data[i];
	BITCODE_DATA(result)[code.bytes - 1] &= operators_last_byte_mask(code.bits);
	PG_RETURN_BITCODE_P(result);
}

/* Put bits into zeros of a code, from its bit `at` on. */
static void
operators_put_bits(Bitcode *code, int at, const BitcodeRef *bits)
{
	int			shift = at % BITS_PER_BYTE;
	uint8	   *to = BITCODE_DATA(code) + at / BITS_PER_BYTE;
	int			capacity = BITCODE_BYTES(code) - at / BITS_PER_BYTE;

	for (int i = 0; i < bits->bytes; i++)
	{
		to[i] |= bits->data[i] >> shift;
		if (i + 1 < capacity)
			to[i + 1] |= bits->data[i] << (BITS_PER_BYTE - shift);
	}
}

Datum
bitcode_concat(PG_FUNCTION_ARGS)
{
	BitcodeRef a = PG_GETARG_BITCODE_REF(0);
	BitcodeRef b = PG_GETARG_BITCODE_REF(1);
	Bitcode    *result;

	bitcode_check_length((int64) a.bits + b.bits, NULL);
	result = bitcode_make(a.bits + b.bits);
	operators_put_bits(result, 0, &a);
	operators_put_bits(result, a.bits, &b);
	PG_RETURN_BITCODE_P(result);
}

Datum
bitcode_length(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(bitcode_datum_bits(PG_GETARG_DATUM(0)));
}

Datum
bitcode_octet_length(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32((bitcode_datum_bits(PG_GETARG_DATUM(0)) + BITS_PER_BYTE - 1) / BITS_PER_BYTE);
}

Datum
bitcode_bit_count(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);

	PG_RETURN_INT64(hamming_kernels->weight(code.data, code.bytes));
}

/* Bits count from 0 at the left, as in core. */
static void
operators_check_bit(const BitcodeRef *code, int64 n)
{
	if (n < 0 || n >= code->bits)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("bit index %lld out of valid range (0..%d)",
						(long long) n, code->bits - 1)));
}

Datum
bitcode_get_bit(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);
	int64		n = PG_GETARG_INT64(1);

	operators_check_bit(&code, n);
	PG_RETURN_INT32((code.data[n / BITS_PER_BYTE] >> (7 - n % BITS_PER_BYTE)) & 1);
}

Datum
bitcode_set_bit(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);
	int64		n = PG_GETARG_INT64(1);
	int64		bit = PG_GETARG_INT64(2);
	Bitcode    *result;

	operators_check_bit(&code, n);
	if (bit != 0 && bit != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("new bit must be 0 or 1, not %lld", (long long) bit)));
	result = bitcode_make(code.bits);
	memcpy(BITCODE_DATA(result), code.data, code.bytes);
	if (bit)
		BITCODE_DATA(result)[n / BITS_PER_BYTE] |= 0x80 >> n % BITS_PER_BYTE;
	else
		BITCODE_DATA(result)[n / BITS_PER_BYTE] &= ~(0x80 >> n % BITS_PER_BYTE);
	PG_RETURN_BITCODE_P(result);
}

/* The bits first … end - 1 of a code, counted from 0 and within it. */
static Bitcode *
operators_cut(const BitcodeRef *code, int first, int end)
{
	Bitcode    *result = bitcode_make(end - first);
	const uint8 *source = code->data + first / BITS_PER_BYTE;
	int			source_bytes = code->bytes - first / BITS_PER_BYTE;
	int			shift = first % BITS_PER_BYTE;

	for (int i = 0; i < BITCODE_BYTES(result); i++)
	{
		uint8		byte = source[i] << shift;

		if (i + 1 < source_bytes)
			byte |= source[i + 1] >> (BITS_PER_BYTE - shift);
		BITCODE_DATA(result)[i] = byte;
	}
	BITCODE_DATA(result)[BITCODE_BYTES(result) - 1] &= operators_last_byte_mask(end - first);
	return result;
}

/*
 * As in SQL, positions count from 1 and what lies outside the code is left
 * out.  There is no code without bits, so an empty part is an error.
 */
static Datum
operators_substring(const BitcodeRef *code, int64 from, int64 end)
{
	int64		first = Max(from, 1) - 1;

	end = Min(end - 1, code->bits);
	if (first >= end)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
				 errmsg("substring from position %lld of a bitcode of %d bits is empty",
						(long long) from, code->bits),
				 errdetail("A bitcode has 1 to %d bits.", BITCODE_MAX_BITS)));
	PG_RETURN_BITCODE_P(operators_cut(code, (int) first, (int) end));
}

Datum
bitcode_substring(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);
	int64		from = PG_GETARG_INT64(1);
	int64		length = PG_GETARG_INT64(2);
	int64		end;

	if (length < 0)
		ereport(ERROR,
				(errcode(ERRCODE_SUBSTRING_ERROR),
				 errmsg("negative substring length %lld not allowed",
						(long long) length)));
	if (pg_add_s64_overflow(from, length, &end))
		end = PG_INT64_MAX;
	return operators_substring(&code, from, end);
}

Datum
bitcode_substring_from(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);

	return operators_substring(&code, PG_GETARG_INT64(1), PG_INT64_MAX);
}

/*
 * As core does: what lies before position `from`, the replacement, what lies
 * from `from + length` on.  A length of 0 inserts.
 */
static Datum
operators_overlay(const BitcodeRef *code, const BitcodeRef *part, int64 from, int64 length)
{
	int64		head = Min(from - 1, code->bits);
	int64		rest;
	Bitcode    *result;

	if (from < 1 || length < 0)
		ereport(ERROR,
				(errcode(ERRCODE_SUBSTRING_ERROR),
				 errmsg("overlay of %lld bits from position %lld is not within a bitcode",
						(long long) length, (long long) from),
				 errdetail("The position must be at least 1, the length at least 0.")));
	if (pg_add_s64_overflow(from - 1, length, &rest) || rest > code->bits)
		rest = code->bits;
	bitcode_check_length(head + part->bits + (code->bits - rest), NULL);

	result = bitcode_make((int) (head + part->bits + (code->bits - rest)));
	if (head > 0)
	{
		Bitcode    *before = operators_cut(code, 0, (int) head);
		BitcodeRef ref = DatumGetBitcodeRef(PointerGetDatum(before));

		operators_put_bits(result, 0, &ref);
	}
	operators_put_bits(result, (int) head, part);
	if (rest < code->bits)
	{
		Bitcode    *after = operators_cut(code, (int) rest, code->bits);
		BitcodeRef ref = DatumGetBitcodeRef(PointerGetDatum(after));

		operators_put_bits(result, (int) head + part->bits, &ref);
	}
	PG_RETURN_BITCODE_P(result);
}

Datum
bitcode_overlay(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);
	BitcodeRef part = PG_GETARG_BITCODE_REF(1);

	return operators_overlay(&code, &part, PG_GETARG_INT64(2), PG_GETARG_INT64(3));
}

Datum
bitcode_overlay_whole(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);
	BitcodeRef part = PG_GETARG_BITCODE_REF(1);

	return operators_overlay(&code, &part, PG_GETARG_INT64(2), part.bits);
}

/* Are the bits of the part those of the code from bit `at` on? */
static bool
operators_has_part_at(const BitcodeRef *code, const BitcodeRef *part, int at)
{
	const uint8 *data = code->data + at / BITS_PER_BYTE;
	int			rest = code->bytes - at / BITS_PER_BYTE;
	int			shift = at % BITS_PER_BYTE;

	for (int i = 0; i < part->bytes; i++)
	{
		uint8		byte = data[i] << shift;

		if (i + 1 < rest)
			byte |= data[i + 1] >> (BITS_PER_BYTE - shift);
		if (i + 1 == part->bytes)
			byte &= operators_last_byte_mask(part->bits);
		if (byte != part->data[i])
			return false;
	}
	return true;
}

/* At most 16384 positions of 2048 bytes each: some milliseconds. */
Datum
bitcode_position(PG_FUNCTION_ARGS)
{
	BitcodeRef part = PG_GETARG_BITCODE_REF(0);
	BitcodeRef code = PG_GETARG_BITCODE_REF(1);

	for (int at = 0; at + part.bits <= code.bits; at++)
		if (operators_has_part_at(&code, &part, at))
			PG_RETURN_INT32(at + 1);
	PG_RETURN_INT32(0);
}
