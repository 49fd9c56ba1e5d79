/*
 * bitcode/majority_aggregate.c: the aggregate bit_majority, the centre of a set of codes.
 *
 * Each bit of the result needs a count of its own.  The counts are kept bit
 * sliced: plane p holds bit p of all the counts, 64 of them in a word.  Adding
 * a code is then a binary counter's increment with the code as the carry, done
 * for 64 bits at a time, and the carry dies out after two planes on average.
 * N codes need log2(N) planes; all counts are exact up to 2^63.
 *
 * The state is a bytea, and in one piece: so partial states can be sent from
 * server to server by whoever knows nothing of them, as Citus does, and there is
 * nothing to serialize.  Whoever calls these functions may put anything in it;
 * all is checked by which memory is addressed.
 *
 * The comparison with half the number of codes is bit sliced too: from the top
 * plane down, a count is greater where it has the first bit that differs.
 */
#include "bitcode/bitcode.h"

XMHASH_FUNCTION(bitcode_majority_add);
XMHASH_FUNCTION(bitcode_majority_remove);
XMHASH_FUNCTION(bitcode_majority_combine);
XMHASH_FUNCTION(bitcode_majority_result);

#define MAX_PLANES 63

/* Numbers keep the byte order of their server, which this shows; words of bits have none. */
#define MAJORITY_MAGIC 0x4A414D58	/* "XMAJ" */

typedef struct Majority
{
	int32		vl_len_;		/* varlena header, do not touch directly */
	uint32		magic;
	int32		bits;			/* length of the codes; 0: none yet */
	int32		plane_count;
	int64		count;			/* codes added */
	uint64		planes[FLEXIBLE_ARRAY_MEMBER];	/* [plane_count][HAMMING_WORDS(bits)], lowest first */
} Majority;

static inline Size
majority_bytes(int bits, int plane_count)
{
	return offsetof(Majority, planes) + (Size) plane_count * HAMMING_WORDS(bits) * sizeof(uint64);
}

/* All counts zero, of codes of that many bits. */
static Majority *
majority_make(int bits, int plane_count)
{
	Size		bytes = majority_bytes(bits, plane_count);
	Majority   *state = palloc0(bytes);

	SET_VARSIZE(state, bytes);
	state->magic = MAJORITY_MAGIC;
	state->bits = bits;
	state->plane_count = plane_count;
	return state;
}

/* A state that is given, as it is if it lies where its words can be read. */
static inline Majority *
majority_state(Datum value)
{
	Majority   *state = (Majority *) PG_DETOAST_DATUM(value);
	Size		bytes = VARSIZE(state);

	if (unlikely((uintptr_t) state % sizeof(uint64) != 0))
		state = memcpy(palloc(bytes), state, bytes);
	if (unlikely(bytes < offsetof(Majority, planes) || state->magic != MAJORITY_MAGIC ||
				 state->bits < 0 || state->bits > BITCODE_MAX_BITS ||
				 state->plane_count < 0 || state->plane_count > MAX_PLANES ||
				 bytes != majority_bytes(state->bits, state->plane_count)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("value is not a state of bit_majority"),
				 errdetail("It is damaged, or of a server with another byte order.")));
	return state;
}

/* The state to work on: the executor's own, which may be changed, or a new one. */
static inline Majority *
majority_working_state(FunctionCallInfo fcinfo)
{
	if (unlikely(!AggCheckCallContext(fcinfo, NULL)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a function of bit_majority cannot be called but by an aggregate")));
	return PG_ARGISNULL(0) ? majority_make(0, 0) : majority_state(PG_GETARG_DATUM(0));
}

/* With so many planes; the executor copies what is new, and frees what was before. */
static pg_noinline Majority *
majority_grow(const Majority *state, int plane_count)
{
	Majority   *grown;

	if (plane_count > MAX_PLANES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot take the majority of more than 2^%d codes", MAX_PLANES)));
	grown = majority_make(state->bits, plane_count);
	grown->count = state->count;
	memcpy(grown->planes, state->planes, majority_bytes(state->bits, state->plane_count) - offsetof(Majority, planes));
	return grown;
}

Datum
bitcode_majority_add(PG_FUNCTION_ARGS)
{
	Majority   *state = majority_working_state(fcinfo);
	BitcodeRef	code;
	int			words;

	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(state);
	code = PG_GETARG_BITCODE_REF(1);
	if (state->count == 0 && state->bits != code.bits)
		state = majority_make(code.bits, 1);
	else if (state->bits != code.bits)
		bitcode_lengths_differ(state->bits, code.bits);

	words = HAMMING_WORDS(code.bits);
	for (int w = 0; w < words; w++)
	{
		uint64		carry = bitcode_ref_word(&code, w);

		for (int p = 0; carry != 0; p++)
		{
			uint64	   *sum;
			uint64		both;

			if (unlikely(p == state->plane_count))
				state = majority_grow(state, p + 1);
			sum = &state->planes[p * words + w];
			both = *sum & carry;
			*sum ^= carry;
			carry = both;
		}
	}
	state->count++;
	bitcode_ref_release(&code, PG_GETARG_DATUM(1));
	PG_RETURN_POINTER(state);
}

pg_noreturn static void
majority_fail_absent(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("cannot take a code out of a majority that it is not in")));
}

/*
 * The inverse, for window frames that move: a decrement with a borrow.  The
 * code was added before, so no count is zero where it has a bit.
 */
Datum
bitcode_majority_remove(PG_FUNCTION_ARGS)
{
	Majority   *state = majority_working_state(fcinfo);
	BitcodeRef	code;
	int			words;

	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(state);
	code = PG_GETARG_BITCODE_REF(1);
	if (unlikely(state->count <= 0 || state->bits != code.bits))
		majority_fail_absent();
	words = HAMMING_WORDS(code.bits);
	for (int w = 0; w < words; w++)
	{
		uint64		borrow = bitcode_ref_word(&code, w);

		for (int p = 0; borrow != 0; p++)
		{
			uint64	   *sum;
			uint64		lacking;

			if (unlikely(p == state->plane_count))
				majority_fail_absent();
			sum = &state->planes[p * words + w];
			lacking = ~*sum & borrow;
			*sum ^= borrow;
			borrow = lacking;
		}
	}
	state->count--;
	bitcode_ref_release(&code, PG_GETARG_DATUM(1));
	PG_RETURN_POINTER(state);
}

/* sum += other, a full adder over the planes, of which the sum has as many at least. */
static Majority *
majority_sum(Majority *sum, const Majority *other)
{
	int			planes = sum->plane_count;
	int			words = HAMMING_WORDS(sum->bits);

	for (int w = 0; w < words; w++)
	{
		uint64		carry = 0;

		for (int p = 0; p < planes; p++)
		{
			uint64		b = p < other->plane_count ? other->planes[p * words + w] : 0;
			uint64	   *a = &sum->planes[p * words + w];
			uint64		both = (*a & b) | (carry & (*a | b));

			*a ^= b ^ carry;
			carry = both;
		}
		if (carry == 0)
			continue;
		if (sum->plane_count == planes)
			sum = majority_grow(sum, planes + 1);
		sum->planes[planes * words + w] = carry;
	}
	sum->count += other->count;
	return sum;
}

Datum
bitcode_majority_combine(PG_FUNCTION_ARGS)
{
	Majority   *sum = majority_working_state(fcinfo);
	Majority   *other = PG_ARGISNULL(1) ? NULL : majority_state(PG_GETARG_DATUM(1));

	if (other == NULL || other->count == 0)
		PG_RETURN_POINTER(sum);
	if (sum->count == 0)
		sum = majority_make(other->bits, other->plane_count);
	else if (sum->bits != other->bits)
		bitcode_lengths_differ(sum->bits, other->bits);
	if (sum->plane_count < other->plane_count)
		sum = majority_grow(sum, other->plane_count);
	PG_RETURN_POINTER(majority_sum(sum, other));
}

/*
 * A bit is set where 2 × its count > number of codes, which is the same as
 * its count > half, half = floor(number / 2): counts are whole numbers.
 */
static uint64
majority_word(const Majority *state, int w)
{
	int			words = HAMMING_WORDS(state->bits);
	uint64		half = (uint64) state->count / 2;
	uint64		greater = 0;
	uint64		equal = ~UINT64CONST(0);

	/* No count reaches 2^planes, so such a half beats them all. */
	if (half >> state->plane_count != 0)
		return 0;
	for (int p = state->plane_count - 1; p >= 0; p--)
	{
		uint64		plane = state->planes[p * words + w];
		uint64		half_bit = (half >> p) & 1 ? ~UINT64CONST(0) : 0;

		greater |= equal & plane & ~half_bit;
		equal &= ~(plane ^ half_bit);
	}
	return greater;
}

Datum
bitcode_majority_result(PG_FUNCTION_ARGS)
{
	Majority   *state = PG_ARGISNULL(0) ? NULL : majority_state(PG_GETARG_DATUM(0));
	Bitcode    *result;

	if (state == NULL || state->count == 0 || state->bits == 0)
		PG_RETURN_NULL();
	result = bitcode_make(state->bits);
	for (int w = 0; w < HAMMING_WORDS(state->bits); w++)
	{
		uint64		word = majority_word(state, w);
		int			start = w * (int) sizeof(word);

		memcpy(BITCODE_DATA(result) + start, &word,
			   Min((int) sizeof(word), BITCODE_BYTES(result) - start));
	}
	/* Counts of the padding are zero, but in a state that somebody has made up. */
	BITCODE_DATA(result)[BITCODE_BYTES(result) - 1] &= BITMASK << VARBITPAD(result);
	PG_RETURN_BITCODE_P(result);
}
