/*
 * index/scan_keys.c: from scan keys to what is searched for.
 *
 * Every key on the code is a ball, a code and a radius: codes within a radius,
 * codes equal (radius 0), and the code ordered by (any radius); with = ANY (…) it
 * is a set of balls.  One ball drives the search, which knows the others but as
 * filters.
 */
#include "postgres.h"

#include "bitcode/ball.h"
#include "index/scan.h"

#include "miscadmin.h"
#include "utils/memutils.h"

/* Copy a key's code to the words that search kernels take. */
static uint64 *
scan_key_words(const uint8 *data, int bytes, int words)
{
	uint64	   *result = palloc0(words * sizeof(uint64));

	memcpy(result, data, bytes);
	return result;
}

/*
 * A key as a ball; false: nothing fulfils it.  A distance between codes of
 * different lengths is an error, while such codes are simply not equal, and
 * not within a radius.
 */
static bool
scan_key_ball(XmhashScan *state, int strategy, Datum value, Ball *ball)
{
	int			bits = state->layout->format.bits;
	int			words = state->layout->format.words;

	if (strategy == XMHASH_STRATEGY_WITHIN || strategy == XMHASH_STRATEGY_MUTUAL)
	{
		BitcodeRef center = DatumGetBitcodeRef(value);

		bool		possible = center.bits == bits && ball_radius(&center) >= 0;

		if (possible)
		{
			ball->query = scan_key_words(center.data, center.bytes, words);
			ball->radius = ball_radius(&center);
		}
		/* The radius of the row's own ball may be smaller: it is not in the index. */
		state->recheck |= strategy == XMHASH_STRATEGY_MUTUAL;
		bitcode_ref_release(&center, value);
		return possible;
	}
	else
	{
		BitcodeRef code = DatumGetBitcodeRef(value);

		if (code.bits != bits && strategy == XMHASH_STRATEGY_EQUAL)
			return false;
		if (code.bits != bits)
			xmhash_wrong_length(state->index, code.bits, bits);
		ball->query = scan_key_words(code.data, code.bytes, words);
		ball->radius = strategy == XMHASH_STRATEGY_EQUAL ? 0 : bits;
		bitcode_ref_release(&code, value);
		return true;
	}
}

/* A key as a set of balls, of several for = ANY (…); false: nothing fulfils it. */
static bool
scan_key_balls(XmhashScan *state, ScanKey key, BallSet *set)
{
	Datum	   *value = &key->sk_argument;
	bool	   *isnull = NULL;
	int			values = 1;
	Ball	   *ball;

	set->count = 0;
	if (key->sk_flags & SK_ISNULL)
		return false;
	if (key->sk_flags & SK_SEARCHARRAY)
		values = scan_key_values(key, &value, &isnull);
	set->ball = ball = palloc(Max(values, 1) * sizeof(Ball));
	for (int i = 0; i < values; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if ((isnull == NULL || !isnull[i]) && scan_key_ball(state, key->sk_strategy, value[i], &ball[set->count]))
			set->count++;
	}
	return set->count > 0;
}

/*
 * Choose what drives the search: the code ordered by, else the smallest ball.
 * A ball about the driver's own code only narrows it; the rest are filters.  A
 * set of several balls can't drive: then all codes are within reach.
 */
static void
scan_choose_driver(XmhashScan *state, const BallSet *sets, const bool *equal, int count)
{
	SearchQuestion *question = &state->question;
	int			words = state->layout->format.words;
	int			first = -1;
	BallSet    *filter = palloc((count + 1) * sizeof(BallSet));

	state->driver_equal = false;
	state->filter_equal = palloc((count + 1) * sizeof(bool));
	question->filters = filter;
	question->filter_count = 0;
	if (!question->ordered)
	{
		for (int i = 0; i < count; i++)
			if (sets[i].count == 1 &&
				(first < 0 || sets[i].ball->radius < sets[first].ball->radius ||
				 (sets[i].ball->radius == sets[first].ball->radius && equal[i])))
				first = i;
		if (first >= 0)
			question->ball = *sets[first].ball;
		else
		{
			/* Every code is within `bits` of any. */
			question->ball.query = scan_key_words((const uint8 *) "", 0, words);
			question->ball.radius = state->layout->format.bits;
		}
	}
	for (int i = 0; i < count; i++)
	{
		if (sets[i].count == 1 && memcmp(sets[i].ball->query, question->ball.query, words * sizeof(uint64)) == 0)
		{
			question->ball.radius = Min(question->ball.radius, sets[i].ball->radius);
			state->driver_equal |= equal[i];
			continue;
		}
		state->filter_equal[question->filter_count] = equal[i];
		filter[question->filter_count++] = sets[i];
	}
}

/* The keys on the code. */
static void
scan_take_code_keys(IndexScanDesc scan)
{
	XmhashScan *state = scan->opaque;
	BallSet    *sets = palloc((scan->numberOfKeys + 1) * sizeof(BallSet));
	bool	   *equal = palloc((scan->numberOfKeys + 1) * sizeof(bool));
	int			count = 0;

	for (int k = 0; k < scan->numberOfKeys; k++)
	{
		ScanKey		key = &scan->keyData[k];

		if (key->sk_attno > 1)
			continue;
		if (key->sk_flags & SK_SEARCHNULL)
		{
			state->wants_codes = false;
			continue;
		}
		state->wants_nulls = false;
		if (key->sk_flags & SK_SEARCHNOTNULL)
			continue;
		state->code_keys++;
		/* Without any code in the index there is no length to compare with. */
		if (state->layout->format.bits == 0)
			continue;
		if (!scan_key_balls(state, key, &sets[count]))
			state->impossible = true;
		else
			equal[count++] = key->sk_strategy == XMHASH_STRATEGY_EQUAL;
	}
	if (state->layout->format.bits == 0)
		state->wants_codes = false;
	if (!state->wants_codes || state->impossible)
		return;
	if (scan->numberOfOrderBys > 0 && !state->null_order)
		state->question.ordered = scan_key_ball(state, XMHASH_STRATEGY_DISTANCE, scan->orderByData[0].sk_argument,
												&state->question.ball);
	scan_choose_driver(state, sets, equal, count);
}

void
scan_take_keys(IndexScanDesc scan)
{
	XmhashScan *state = scan->opaque;
	MemoryContext old;

	MemoryContextReset(state->question_context);
	old = MemoryContextSwitchTo(state->question_context);
	memset(&state->question, 0, sizeof(SearchQuestion));
	state->impossible = false;
	state->wants_codes = state->wants_nulls = true;
	state->code_keys = 0;
	state->null_order = scan->numberOfOrderBys > 0 && (scan->orderByData[0].sk_flags & SK_ISNULL);
	state->question.conditions = state->condition;
	if (!scan_take_conditions(state->index, &state->layout->format, scan->keyData, scan->numberOfKeys,
							  state->condition, &state->question.condition_count, &state->recheck))
		state->impossible = true;
	scan_take_code_keys(scan);
	if (!state->wants_codes && !state->wants_nulls)
		state->impossible = true;
	MemoryContextSwitchTo(old);
}
