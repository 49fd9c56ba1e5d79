/*
 * bitcode/majority_aggregate.c: the aggregate bit_majority, the centre of a set of codes.
 *
 * core/majority.h counts; all counts are exact up to 2^63.
 *
 * The state is a bytea, and in one piece: so partial states can be sent from
 * server to server by whoever knows nothing of them, as Citus does, and there is
 * nothing to serialize.  Whoever calls these functions may put anything in it;
 * all is checked by which memory is addressed.
 */
#include "bitcode/bitcode.h"

#include "core/majority.h"

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
		uint64		carry = majority_add(state->planes, state->plane_count, words, w, bitcode_ref_word(&code, w));

		if (unlikely(carry != 0))
		{
			state = majority_grow(state, state->plane_count + 1);
			state->planes[(state->plane_count - 1) * words + w] = carry;
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
		if (unlikely(majority_remove(state->planes, state->plane_count, words, w, bitcode_ref_word(&code, w)) != 0))
			majority_fail_absent();
	state->count--;
	bitcode_ref_release(&code, PG_GETARG_DATUM(1));
	PG_RETURN_POINTER(state);
}

/* sum += other, which has no more planes. */
static Majority *
majority_add_state(Majority *sum, const Majority *other)
{
	int			planes = sum->plane_count;
	int			words = HAMMING_WORDS(sum->bits);

	for (int w = 0; w < words; w++)
	{
		uint64		carry = majority_sum(sum->planes, planes, words, w, other->planes, other->plane_count);

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
	PG_RETURN_POINTER(majority_add_state(sum, other));
}

Datum
bitcode_majority_result(PG_FUNCTION_ARGS)
{
	Majority   *state = PG_ARGISNULL(0) ? NULL : majority_state(PG_GETARG_DATUM(0));
	Bitcode    *result;
	int			words;

	if (state == NULL || state->count == 0 || state->bits == 0)
		PG_RETURN_NULL();
	result = bitcode_make(state->bits);
	words = HAMMING_WORDS(state->bits);
	for (int w = 0; w < words; w++)
	{
		uint64		word = majority_word(state->planes, state->plane_count, words, w, state->count);
		int			start = w * (int) sizeof(word);

		memcpy(BITCODE_DATA(result) + start, &word,
			   Min((int) sizeof(word), BITCODE_BYTES(result) - start));
	}
	/* Counts of the padding are zero, but in a state that somebody has made up. */
	BITCODE_DATA(result)[BITCODE_BYTES(result) - 1] &= BITMASK << VARBITPAD(result);
	PG_RETURN_BITCODE_P(result);
}
