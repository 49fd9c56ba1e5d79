/*
 * index/scan_keys.c: from scan keys to what is searched for.
 *
 * Every key is a ball, a code and a radius: codes within a radius, codes equal
 * (radius 0), and the code ordered by (any radius).  One ball drives the
 * search, which knows no others but as filters.
 */
#include "postgres.h"

#include "bitcode/ball.h"
#include "index/scan.h"

/* Copy a key's code to the words that search kernels take. */
static uint64 *
scan_key_words(uint64 **next, const uint8 *data, int bytes, int words)
{
	uint64	   *result = *next;

	memset(result, 0, words * sizeof(uint64));
	memcpy(result, data, bytes);
	*next += words;
	return result;
}

/*
 * A key as a ball; false: nothing fulfils it.  A distance between codes of
 * different lengths is an error, while such codes are simply not equal, and
 * not within a radius.
 */
static bool
scan_key_ball(XmhashScan *state, ScanKey key, uint64 **next, Ball *ball)
{
	int			bits = state->layout->format.bits;

	if (key->sk_flags & SK_ISNULL)
		return false;
	if (key->sk_strategy == XMHASH_STRATEGY_WITHIN || key->sk_strategy == XMHASH_STRATEGY_MUTUAL)
	{
		BitcodeRef center = DatumGetBitcodeRef(key->sk_argument);

		bool		possible = center.bits == bits && ball_radius(&center) >= 0;

		if (possible)
		{
			ball->query = scan_key_words(next, center.data, center.bytes, state->layout->format.words);
			ball->radius = ball_radius(&center);
		}
		/* The radius of the row's own ball may be smaller: it is not in the index. */
		state->lossy |= key->sk_strategy == XMHASH_STRATEGY_MUTUAL;
		bitcode_ref_release(&center, key->sk_argument);
		return possible;
	}
	else
	{
		BitcodeRef code = DatumGetBitcodeRef(key->sk_argument);

		if (code.bits != bits && key->sk_strategy == XMHASH_STRATEGY_EQUAL)
			return false;
		if (code.bits != bits)
			xmhash_wrong_length(state->index, code.bits, bits);
		ball->query = scan_key_words(next, code.data, code.bytes, state->layout->format.words);
		ball->radius = key->sk_strategy == XMHASH_STRATEGY_EQUAL ? 0 : bits;
		bitcode_ref_release(&code, key->sk_argument);
		return true;
	}
}

/*
 * Choose what drives the search: the code ordered by, else the smallest ball.
 * A ball about the driver's own code only narrows it; the rest are filters.
 */
static void
scan_choose_driver(XmhashScan *state, Ball *balls, bool *equal, int count)
{
	int			first = 0;

	state->filters = 0;
	state->driver_equal = false;
	if (!state->ordered)
	{
		for (int i = 1; i < count; i++)
			if (balls[i].radius < balls[first].radius ||
				(balls[i].radius == balls[first].radius && equal[i]))
				first = i;
		state->driver = balls[first];
		state->driver_equal = equal[first];
	}
	for (int i = 0; i < count; i++)
	{
		if (memcmp(balls[i].query, state->driver.query, state->layout->format.words * sizeof(uint64)) == 0)
		{
			state->driver.radius = Min(state->driver.radius, balls[i].radius);
			state->driver_equal |= equal[i];
			continue;
		}
		state->filter_equal[state->filters] = equal[i];
		state->filter[state->filters++] = balls[i];
	}
}

void
scan_take_keys(IndexScanDesc scan)
{
	XmhashScan *state = scan->opaque;
	int			words = state->layout->format.words;
	int			count = 0;
	uint64	   *next;
	Ball	   *balls = palloc((scan->numberOfKeys + 1) * sizeof(Ball));
	bool	   *equal = palloc((scan->numberOfKeys + 1) * sizeof(bool));

	if (state->words)
		pfree(state->words);
	state->words = next = MemoryContextAlloc(state->context,
											 (scan->numberOfKeys + 2) * Max(words, 1) * sizeof(uint64));
	state->impossible = false;
	state->null_order = scan->numberOfOrderBys > 0 && (scan->orderByData[0].sk_flags & SK_ISNULL);
	state->ordered = false;
	state->lossy = false;
	/* Without any code in the index there is no length to compare with. */
	if (state->layout->format.bits == 0)
	{
		state->impossible = scan->numberOfKeys > 0;
		pfree(balls);
		pfree(equal);
		return;
	}
	for (int k = 0; k < scan->numberOfKeys; k++)
	{
		if (!scan_key_ball(state, &scan->keyData[k], &next, &balls[count]))
			state->impossible = true;
		else
			equal[count++] = scan->keyData[k].sk_strategy == XMHASH_STRATEGY_EQUAL;
	}
	if (scan->numberOfOrderBys > 0 && !state->null_order && !state->impossible)
		state->ordered = scan_key_ball(state, &scan->orderByData[0], &next, &state->driver);
	if (!state->impossible)
	{
		if (count == 0 && !state->ordered)
		{
			/* Every code is within `bits` of any. */
			balls[0].query = scan_key_words(&next, (const uint8 *) "", 0, words);
			balls[0].radius = state->layout->format.bits;
			equal[0] = false;
			count = 1;
		}
		scan_choose_driver(state, balls, equal, count);
	}
	pfree(balls);
	pfree(equal);
}
