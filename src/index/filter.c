/*
 * index/filter.c: the keys of filter columns.
 *
 * A type whose order an integer can keep has that integer for its number: then
 * keys compare as values do.  All other types have a hash, which finds what may
 * be equal; the executor compares the values.  A key takes 4 bytes where the
 * numbers do, and for a hash.
 *
 * NULL is the largest key, so the largest number and the one before share the
 * key below it.  A condition that tells these two apart has its rows compared by
 * the executor too (index/scan_filter.c).
 */
#include "postgres.h"

#include "index/index.h"

#include <math.h>

#include "catalog/pg_type_d.h"
#include "utils/cash.h"
#include "utils/date.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

/* ---------- The columns ---------- */

bool
filter_type_is_ordered(Oid type, bool *wide)
{
	switch (type)
	{
		case BOOLOID:
		case CHAROID:
		case INT2OID:
		case INT4OID:
		case OIDOID:
		case DATEOID:
			*wide = false;
			return true;
		case INT8OID:
		case CASHOID:
		case FLOAT4OID:
		case FLOAT8OID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case PG_LSNOID:
			*wide = true;
			return true;
		default:
			*wide = false;
			return false;
	}
}

static bool
filter_type_is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

bool
filter_types_compare(Oid a, Oid b)
{
	return a == b || (filter_type_is_integer(a) && filter_type_is_integer(b)) ||
		((a == FLOAT4OID || a == FLOAT8OID) && (b == FLOAT4OID || b == FLOAT8OID));
}

/* Is filter column c of a type without a number?  Then its operator class has a hash function. */
static bool
filter_is_hashed(Relation index, int column)
{
	return OidIsValid(index_getprocid(index, column + 2, XMHASH_HASH_PROC));
}

/* Has it keys of 8 bytes? */
static bool
filter_is_wide(Relation index, int column)
{
	bool		wide;

	return !filter_is_hashed(index, column) && filter_type_is_ordered(index->rd_opcintype[column + 1], &wide) && wide;
}

void
xmhash_row_format(Relation index, int bits, XmhashRowFormat *format)
{
	memset(format, 0, sizeof(XmhashRowFormat));
	xmhash_format_set_bits(format, bits);
	format->columns = Min(IndexRelationGetNumberOfKeyAttributes(index) - 1, XMHASH_MAX_COLUMNS);
	for (int c = 0; c < format->columns; c++)
		if (filter_is_wide(index, c))
			format->wide |= 1 << c;
	for (int wide = 1; wide >= 0; wide--)
		for (int c = 0; c < format->columns; c++)
			if (XmhashKeyIsWide(format, c) == wide)
			{
				format->key_offset[c] = format->key_bytes;
				format->key_bytes += wide ? sizeof(int64) : sizeof(int32);
			}
}

void
xmhash_check_columns(Relation index)
{
	int			columns = IndexRelationGetNumberOfKeyAttributes(index);

	if (columns > 1 + XMHASH_MAX_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("index \"%s\" has %d columns, access method \"xmhash\" can have a code and %d filter columns",
						RelationGetRelationName(index), columns, XMHASH_MAX_COLUMNS)));
	for (int i = 0; i < columns; i++)
	{
		Oid			type = index->rd_opcintype[i];
		bool		filters = OidIsValid(get_opfamily_member(index->rd_opfamily[i], type, type, XMHASH_STRATEGY_KEY_EQUAL));

		if (filters != (i > 0))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 i == 0 ? errmsg("the first column of index \"%s\" is not a code", RelationGetRelationName(index)) :
					 errmsg("column %d of index \"%s\" is a code, not a filter column", i + 1,
							RelationGetRelationName(index)),
					 errdetail("An index of access method \"xmhash\" has one code, its first column, and up to %d filter columns.",
							   XMHASH_MAX_COLUMNS)));
	}
}

/* ---------- Keys ---------- */

/* Floating-point numbers as integers in the same order: NaN, of which there is one, is the largest. */
static int64
filter_float_number(float8 value)
{
	int64		bits;

	if (isnan(value))
		value = get_float8_nan();
	value += 0;					/* minus zero is zero */
	memcpy(&bits, &value, sizeof(bits));
	return bits < 0 ? bits ^ PG_INT64_MAX : bits;
}

int64
filter_order_number(Oid type, Datum value)
{
	switch (type)
	{
		case BOOLOID:
			return DatumGetBool(value);
		case CHAROID:
			return (uint8) DatumGetChar(value);
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		case OIDOID:
			return (int64) DatumGetObjectId(value) + PG_INT32_MIN;
		case DATEOID:
			return DatumGetDateADT(value);
		case INT8OID:
			return DatumGetInt64(value);
		case CASHOID:
			return DatumGetCash(value);
		case FLOAT4OID:
			return filter_float_number(DatumGetFloat4(value));
		case FLOAT8OID:
			return filter_float_number(DatumGetFloat8(value));
		case TIMEOID:
			return DatumGetTimeADT(value);
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return DatumGetTimestamp(value);
		case PG_LSNOID:
			return (int64) (DatumGetLSN(value) ^ UINT64CONST(0x8000000000000000));
		default:
			elog(ERROR, "type %u has no order that an xmhash index knows", type);
			return 0;
	}
}

/* The function is that of the type, perhaps a user's; it runs as whoever inserts or searches. */
int64
filter_hash_key(Relation index, int column, Datum value)
{
	FmgrInfo   *hash = index_getprocinfo(index, column + 2, XMHASH_HASH_PROC);
	int32		key = DatumGetInt32(FunctionCall1Coll(hash, index->rd_indcollation[column + 1], value));

	return Min(key, KEY_NULL(false) - 1);
}

void
xmhash_row_keys(Relation index, const Datum *values, const bool *isnull, int64 *keys)
{
	int			columns = IndexRelationGetNumberOfKeyAttributes(index) - 1;
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch = NULL;	/* what hash functions leave, a row at a time */

	for (int c = 0; c < columns; c++)
	{
		bool		wide = filter_is_wide(index, c);

		if (isnull[c + 1])
			keys[c] = KEY_NULL(wide);
		else if (filter_is_hashed(index, c))
		{
			if (scratch == NULL)
				scratch = AllocSetContextCreate(context, "xmhash hashed columns", ALLOCSET_SMALL_SIZES);
			MemoryContextSwitchTo(scratch);
			keys[c] = filter_hash_key(index, c, values[c + 1]);
			MemoryContextSwitchTo(context);
		}
		else
			keys[c] = Min(filter_order_number(index->rd_opcintype[c + 1], values[c + 1]), KEY_NULL(wide) - 1);
	}
	if (scratch != NULL)
		MemoryContextDelete(scratch);
}
