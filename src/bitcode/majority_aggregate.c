/*
 * bitcode/majority_aggregate.c: the aggregate bit_majority, the centre of a set of codes.
 *
 * Each bit of the result needs a count of its own.  The counts are kept bit
 * sliced: plane p holds bit p of all the counts, 64 of them in a word.  Adding
 * a code is then a binary counter's increment with the code as the carry, done
 * for 64 bits at a time, and the carry dies out after two planes on average.
 * N codes need log2(N) planes; all counts are exact up to 2^63.
 *
 * The comparison with half the number of codes is bit sliced too: from the top
 * plane down, a count is greater where it has the first bit that differs.
 */
#include "bitcode/bitcode.h"

#include "libpq/pqformat.h"

XMHASH_FUNCTION(bitcode_majority_add);
XMHASH_FUNCTION(bitcode_majority_remove);
XMHASH_FUNCTION(bitcode_majority_combine);
XMHASH_FUNCTION(bitcode_majority_serialize);
XMHASH_FUNCTION(bitcode_majority_deserialize);
XMHASH_FUNCTION(bitcode_majority_result);

#define MAX_PLANES 63

typedef struct Majority
{
	int64		count;			/* codes added */
	int			bits;			/* their length, while count > 0 */
	int			words;
	int			plane_count;
	uint64	   *planes[MAX_PLANES];	/* [plane_count][words], lowest first */
	MemoryContext context;
} Majority;

static Majority *
majority_make(MemoryContext context)
{
	Majority   *state = MemoryContextAllocZero(context, sizeof(Majority));

	state->context = context;
	return state;
}

/* The state to work on: the one given, or a new one that lasts as long. */
static Majority *
majority_state(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "bit_majority support function called outside an aggregate");
	if (PG_ARGISNULL(0))
		return majority_make(context);
	return (Majority *) PG_GETARG_POINTER(0);
}

/* Start counting codes of that many bits: none so far, all counts zero. */
static void
majority_reset(Majority *state, int bits)
{
	for (int p = 0; p < state->plane_count; p++)
		pfree(state->planes[p]);
	state->plane_count = 0;
	state->count = 0;
	state->bits = bits;
	state->words = HAMMING_WORDS(bits);
}

/* The plane p, which is there already or the next one: then new and zero. */
static uint64 *
majority_plane(Majority *state, int p)
{
	Assert(p <= state->plane_count && p < MAX_PLANES);
	if (p == state->plane_count)
		state->planes[state->plane_count++] =
			MemoryContextAllocZero(state->context, state->words * sizeof(uint64));
	return state->planes[p];
}

Datum
bitcode_majority_add(PG_FUNCTION_ARGS)
{
	Majority   *state = majority_state(fcinfo);
	BitcodeRef code;

	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(state);
	code = PG_GETARG_BITCODE_REF(1);
	if (state->count == 0)
		majority_reset(state, code.bits);
	else if (state->bits != code.bits)
		bitcode_lengths_differ(state->bits, code.bits);

	for (int w = 0; w < state->words; w++)
	{
		uint64		carry = bitcode_ref_word(&code, w);

		for (int p = 0; carry != 0; p++)
		{
			uint64	   *sum = &majority_plane(state, p)[w];
			uint64		both = *sum & carry;

			*sum ^= carry;
			carry = both;
		}
	}
	state->count++;
	bitcode_ref_release(&code, PG_GETARG_DATUM(1));
	PG_RETURN_POINTER(state);
}

/* The inverse, for window frames that move: a decrement with a borrow. */
Datum
bitcode_majority_remove(PG_FUNCTION_ARGS)
{
	Majority   *state = (Majority *) PG_GETARG_POINTER(0);
	BitcodeRef code;

	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(state);
	code = PG_GETARG_BITCODE_REF(1);
	Assert(state->count > 0 && state->bits == code.bits);

	for (int w = 0; w < state->words; w++)
	{
		uint64		borrow = bitcode_ref_word(&code, w);

		/* The code was added before, so no count is zero where it has a bit. */
		for (int p = 0; borrow != 0 && p < state->plane_count; p++)
		{
			uint64	   *sum = &state->planes[p][w];
			uint64		lacking = ~*sum & borrow;

			*sum ^= borrow;
			borrow = lacking;
		}
		Assert(borrow == 0);
	}
	state->count--;
	bitcode_ref_release(&code, PG_GETARG_DATUM(1));
	PG_RETURN_POINTER(state);
}

/* sum += other, a full adder over the planes. */
static void
majority_sum(Majority *sum, const Majority *other)
{
	for (int w = 0; w < sum->words; w++)
	{
		uint64		carry = 0;

		for (int p = 0; p < other->plane_count || carry != 0; p++)
		{
			uint64		b = p < other->plane_count ? other->planes[p][w] : 0;
			uint64	   *a = &majority_plane(sum, p)[w];
			uint64		both = (*a & b) | (carry & (*a | b));

			*a ^= b ^ carry;
			carry = both;
		}
	}
	sum->count += other->count;
}

Datum
bitcode_majority_combine(PG_FUNCTION_ARGS)
{
	Majority   *sum = majority_state(fcinfo);
	Majority   *other = PG_ARGISNULL(1) ? NULL : (Majority *) PG_GETARG_POINTER(1);

	if (other == NULL || other->count == 0)
		PG_RETURN_POINTER(sum);
	if (sum->count == 0)
		majority_reset(sum, other->bits);
	else if (sum->bits != other->bits)
		bitcode_lengths_differ(sum->bits, other->bits);
	majority_sum(sum, other);
	PG_RETURN_POINTER(sum);
}

Datum
bitcode_majority_serialize(PG_FUNCTION_ARGS)
{
	Majority   *state = (Majority *) PG_GETARG_POINTER(0);
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendint64(&buf, state->count);
	pq_sendint32(&buf, state->bits);
	pq_sendint32(&buf, state->plane_count);
	/* Both ends are processes of one server: words keep their byte order. */
	for (int p = 0; p < state->plane_count; p++)
		pq_sendbytes(&buf, (char *) state->planes[p], state->words * sizeof(uint64));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

Datum
bitcode_majority_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	Majority   *state = majority_make(CurrentMemoryContext);
	StringInfoData buf;
	int64		count;
	int			plane_count;

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	count = pq_getmsgint64(&buf);
	majority_reset(state, pq_getmsgint(&buf, sizeof(int32)));
	state->count = count;
	plane_count = pq_getmsgint(&buf, sizeof(int32));
	for (int p = 0; p < plane_count; p++)
		pq_copymsgbytes(&buf, (char *) majority_plane(state, p),
						state->words * sizeof(uint64));
	pq_getmsgend(&buf);
	pfree(buf.data);
	PG_RETURN_POINTER(state);
}

/*
 * A bit is set where 2 × its count > number of codes, which is the same as
 * its count > half, half = floor(number / 2): counts are whole numbers.
 */
static uint64
majority_word(const Majority *state, int w)
{
	uint64		half = (uint64) state->count / 2;
	uint64		greater = 0;
	uint64		equal = ~UINT64CONST(0);

	/* No count reaches 2^planes, so such a half beats them all. */
	if (half >> state->plane_count != 0)
		return 0;
	for (int p = state->plane_count - 1; p >= 0; p--)
	{
		uint64		plane = state->planes[p][w];
		uint64		half_bit = (half >> p) & 1 ? ~UINT64CONST(0) : 0;

		greater |= equal & plane & ~half_bit;
		equal &= ~(plane ^ half_bit);
	}
	return greater;
}

Datum
bitcode_majority_result(PG_FUNCTION_ARGS)
{
	Majority   *state = PG_ARGISNULL(0) ? NULL : (Majority *) PG_GETARG_POINTER(0);
	Bitcode    *result;

	if (state == NULL || state->count == 0)
		PG_RETURN_NULL();
	result = bitcode_make(state->bits);
	for (int w = 0; w < state->words; w++)
	{
		uint64		word = majority_word(state, w);
		int			start = w * (int) sizeof(word);

		/* The padding has counts of zero, so it stays zero. */
		memcpy(BITCODE_DATA(result) + start, &word,
			   Min((int) sizeof(word), BITCODE_BYTES(result) - start));
	}
	PG_RETURN_BITCODE_P(result);
}
