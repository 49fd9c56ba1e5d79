/*
 * index/scan_filter.c: from scan keys on filter columns to conditions on their
 * keys.
 *
 * Whatever the operators, what they leave of a column's keys is an interval,
 * perhaps but some points of it: they are put into one condition a column.
 */
#include "postgres.h"

#include "index/scan.h"

#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

int
scan_key_values(ScanKey key, Datum **value, bool **isnull)
{
	ArrayType  *array = DatumGetArrayTypeP(key->sk_argument);
	int16		length;
	bool		by_value;
	char		align;
	int			count;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align, value, isnull, &count);
	return count;
}

/* The keys that one operator and value leave. */
typedef struct KeyInterval
{
	int64		low;
	int64		high;
} KeyInterval;

/*
 * The numbers that fulfil the operator; false: none.  Those at the end of what
 * the column's type can hold are left out.
 */
static bool
filter_number_interval(int strategy, int64 number, KeyInterval *interval)
{
	interval->low = PG_INT64_MIN;
	interval->high = PG_INT64_MAX;
	switch (strategy)
	{
		case XMHASH_STRATEGY_KEY_LESS:
			if (number == PG_INT64_MIN)
				return false;
			interval->high = number - 1;
			return true;
		case XMHASH_STRATEGY_KEY_LESS_EQUAL:
			interval->high = number;
			return true;
		case XMHASH_STRATEGY_KEY_EQUAL:
			interval->low = interval->high = number;
			return true;
		case XMHASH_STRATEGY_KEY_GREATER_EQUAL:
			interval->low = number;
			return true;
		case XMHASH_STRATEGY_KEY_GREATER:
			if (number == PG_INT64_MAX)
				return false;
			interval->low = number + 1;
			return true;
		default:
			elog(ERROR, "unknown strategy %d of a filter column", strategy);
			return false;
	}
}

/*
 * The keys that may fulfil the operator; false: none.  The executor looks again
 * where keys are hashes, and where the interval parts the two numbers that share
 * the largest key (index/filter.c).
 */
static bool
filter_key_interval(Relation index, ScanKey key, bool wide, Datum value, KeyInterval *interval, bool *recheck)
{
	int			column = key->sk_attno - 2;
	Oid			type = key->sk_subtype;
	int64		top = KEY_NULL(wide);

	if (OidIsValid(index_getprocid(index, key->sk_attno, XMHASH_HASH_PROC)))
	{
		if (key->sk_strategy != XMHASH_STRATEGY_KEY_EQUAL)
			elog(ERROR, "a hashed filter column cannot be searched by strategy %d", key->sk_strategy);
		interval->low = interval->high = filter_hash_key(index, column, value);
		*recheck = true;
		return true;
	}
	/* An exclusion constraint's keys do not name their type: it is the column's. */
	if (!OidIsValid(type))
		type = index->rd_opcintype[key->sk_attno - 1];
	if (!filter_types_compare(index->rd_opcintype[key->sk_attno - 1], type))
		elog(ERROR, "filter column %d of index \"%s\" cannot be compared with type %u",
			 key->sk_attno, RelationGetRelationName(index), type);
	if (!filter_number_interval(key->sk_strategy, filter_order_number(type, value), interval))
		return false;
	interval->low = Max(interval->low, KEY_MIN(wide));
	interval->high = Min(interval->high, top);
	if (interval->low > interval->high)
		return false;
	if (interval->low == top || interval->high == top - 1)
		*recheck = true;
	interval->low = Min(interval->low, top - 1);
	interval->high = Min(interval->high, top - 1);
	return true;
}

static int
filter_compare_points(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/* Sort, and drop what is there twice. */
static int
filter_sort_points(int64 *point, int count)
{
	int			kept = 0;

	qsort(point, count, sizeof(int64), filter_compare_points);
	for (int i = 0; i < count; i++)
		if (i == 0 || point[i] != point[kept - 1])
			point[kept++] = point[i];
	return kept;
}

/* Leave of the points those that the condition allows; they become its points. */
static bool
filter_restrict_to_points(KeyCondition *condition, int64 *point, int count)
{
	int			kept = 0;

	for (int i = 0; i < count; i++)
		if (key_fulfils(condition, point[i]))
			point[kept++] = point[i];
	condition->point = point;
	condition->points = kept;
	return kept > 0;
}

static bool
filter_restrict_to_interval(KeyCondition *condition, const KeyInterval *interval)
{
	condition->low = Max(condition->low, interval->low);
	condition->high = Min(condition->high, interval->high);
	return condition->low <= condition->high;
}

/* column operator ANY (array): points for equality, else the widest of the intervals. */
static bool
filter_restrict_to_any(Relation index, ScanKey key, KeyCondition *condition, bool *recheck)
{
	Datum	   *value;
	bool	   *isnull;
	int			values = scan_key_values(key, &value, &isnull);
	int64	   *point = palloc(Max(values, 1) * sizeof(int64));
	int			points = 0;
	KeyInterval all = {PG_INT64_MAX, PG_INT64_MIN};

	for (int i = 0; i < values; i++)
	{
		KeyInterval interval;

		CHECK_FOR_INTERRUPTS();
		if (isnull[i] || !filter_key_interval(index, key, condition->wide, value[i], &interval, recheck))
			continue;
		point[points++] = interval.low;
		all.low = Min(all.low, interval.low);
		all.high = Max(all.high, interval.high);
	}
	if (points == 0)
		return false;
	if (key->sk_strategy == XMHASH_STRATEGY_KEY_EQUAL)
		return filter_restrict_to_points(condition, point, filter_sort_points(point, points));
	return filter_restrict_to_interval(condition, &all);
}

/* Restrict the column's condition by a key; false: nothing is left. */
static bool
filter_take_key(Relation index, ScanKey key, KeyCondition *condition, bool *recheck)
{
	KeyInterval interval = {KEY_MIN(condition->wide), KEY_NULL(condition->wide)};

	if (key->sk_flags & SK_SEARCHNULL)
		interval.low = interval.high;
	else if (key->sk_flags & SK_SEARCHNOTNULL)
		interval.high--;
	else if (key->sk_flags & SK_ISNULL)
		return false;
	else if (key->sk_flags & SK_SEARCHARRAY)
		return filter_restrict_to_any(index, key, condition, recheck);
	else if (!filter_key_interval(index, key, condition->wide, key->sk_argument, &interval, recheck))
		return false;
	return filter_restrict_to_interval(condition, &interval);
}

/* The points that a later interval has left, or one point as an interval. */
static bool
filter_finish(KeyCondition *condition)
{
	if (condition->points == 0)
		return true;
	if (!filter_restrict_to_points(condition, unconstify(int64 *, condition->point), condition->points))
		return false;
	condition->low = condition->point[0];
	condition->high = condition->point[condition->points - 1];
	if (condition->points == 1)
		condition->points = 0;
	return true;
}

bool
scan_take_conditions(Relation index, const XmhashRowFormat *format, ScanKey keys, int count,
					 KeyCondition *conditions, int *condition_count, bool *recheck)
{
	KeyCondition draft[XMHASH_MAX_COLUMNS] = {0};

	*condition_count = 0;
	*recheck = false;
	for (int c = 0; c < format->columns; c++)
	{
		draft[c].column = c;
		draft[c].wide = XmhashKeyIsWide(format, c);
		draft[c].low = KEY_MIN(draft[c].wide);
		draft[c].high = KEY_NULL(draft[c].wide);
	}
	for (int k = 0; k < count; k++)
		if (keys[k].sk_attno > 1 && !filter_take_key(index, &keys[k], &draft[keys[k].sk_attno - 2], recheck))
			return false;
	for (int c = 0; c < format->columns; c++)
	{
		if (!filter_finish(&draft[c]))
			return false;
		if (draft[c].points > 0 || draft[c].low > KEY_MIN(draft[c].wide) || draft[c].high < KEY_NULL(draft[c].wide))
			conditions[(*condition_count)++] = draft[c];
	}
	return true;
}
