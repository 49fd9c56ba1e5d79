/*
 * eval/groups.c: xmhash_duplicate_groups(), the groups of near-duplicates of a
 * relation: the connected components of "within that radius of each other".
 *
 * No index is needed, and none is used: every code looks for its neighbours, so
 * it is the codes that are put in order, once, and then met page by page.
 *
 * 1. The rows are read with the caller's rights (SPI), and a sample of their
 *    codes gives centres, as for an index (core/search_centre.c).
 * 2. They are sorted by (nearest centre, distance to it, code).  Equal codes
 *    are neighbours then and get one number; the distinct codes are cut into
 *    pages of one centre each, whose least and greatest distance to it are a
 *    directory (core/search_bound.c): it tells for each code which pages can
 *    hold a code within the radius.
 * 3. Codes meet their neighbours (eval/groups_pairs.c), and union-find joins them
 *    (eval/groups_sets.c).
 * 4. The sets with more than one row are the answer.
 *
 * Rows and codes stand in temporary files beyond shares of work_mem, sets beyond
 * what hash_mem_multiplier adds to it.
 */
#include "xmhash.h"

#include <math.h>

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

#include "bitcode/bitcode.h"
#include "core/random.h"
#include "core/search.h"
#include "eval/groups.h"
#include "eval/read.h"
#include "server/core_env.h"
#include "server/lookup.h"

XMHASH_FUNCTION(xmhash_duplicate_groups);

#define GROUPS_REPORT_ROWS 100000
#define GROUPS_PAGE_BYTES 8192
#define GROUPS_DIRECTORY_BYTES 32
#define GROUPS_SEED UINT64CONST(0x67726f757073)

/* ---------- The rows ---------- */

static void
groups_check_bits(Groups *groups, int bits)
{
	if (bits < 1 || bits > BITCODE_MAX_BITS || (groups->bits != 0 && bits != groups->bits))
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
				 errmsg("code column \"%s\" of relation \"%s\" has a code of %d bits",
						groups->code_column, get_rel_name(groups->relation), bits),
				 groups->bits != 0 ?
				 errdetail("The codes before it have %d bits.", groups->bits) :
				 errdetail("A bitcode has 1 to %d bits.", BITCODE_MAX_BITS)));
	if (groups->bits != 0)
		return;
	groups->bits = bits;
	groups->words = HAMMING_WORDS(bits);
	groups->sample_capacity = groups_memory(4) * 1024 / (groups->words * (int) sizeof(uint64));
	groups->sample = MemoryContextAlloc(groups->context,
										(Size) groups->sample_capacity * groups->words * sizeof(uint64));
}

/* Every code is in the sample with the same chance (Vitter's algorithm R). */
static void
groups_sample(Groups *groups, const Bitcode *code)
{
	uint64		place = groups->row_count;

	if (groups->row_count >= groups->sample_capacity)
		place = random_next(&groups->random) % (uint64) (groups->row_count + 1);
	if (place < (uint64) groups->sample_capacity)
		bitcode_to_words(code, groups->sample + place * groups->words);
}

static void
groups_take_row(void *reader, HeapTuple tuple, TupleDesc descriptor, int64 ordinal)
{
	Groups	   *groups = reader;
	Datum		values[3];
	bool		nulls[3] = {0};

	values[2] = SPI_getbinval(tuple, descriptor, 2, &nulls[2]);
	if (nulls[2])
		return;
	values[0] = Int64GetDatum(groups->row_count);
	values[1] = SPI_getbinval(tuple, descriptor, 1, &nulls[1]);
	if (groups->id_as_text && !nulls[1])
		values[1] = CStringGetTextDatum(OutputFunctionCall(&groups->id_output, values[1]));
	groups_check_bits(groups, bitcode_datum_bits(values[2]));
	values[2] = PointerGetDatum(DatumGetBitcodeP(values[2]));
	groups_sample(groups, (const Bitcode *) DatumGetPointer(values[2]));
	tuplestore_putvalues(groups->rows, groups->row_descriptor, values, nulls);
	groups->row_count++;
	if (ordinal % GROUPS_REPORT_ROWS == 0 && groups_report_due(groups))
		ereport(INFO,
				(errmsg(INT64_FORMAT " rows of relation \"%s\" read", ordinal, get_rel_name(groups->relation))));
}

static void
groups_read_rows(Groups *groups)
{
	EvalQuery	query = {.relation = get_rel_name(groups->relation), .columns = 2,
	.type = {groups->id_type, groups->code_type}, .rows_at_once = EVAL_ROWS_AT_ONCE};

	query.text = psprintf("SELECT %s, %s FROM %s", quote_identifier(groups->id_column),
						  quote_identifier(groups->code_column), lookup_relation_name(groups->relation));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	eval_fetch_rows(&query, groups_take_row, groups);
	SPI_finish();
}

/* ---------- Their order ---------- */

/* All rows as (key, ordinal, id), where keys sort as (centre, distance, code) by their bytes. */
static Tuplesortstate *
groups_sort(Groups *groups, MemoryContext context, TupleDesc *sorted)
{
	TupleDesc	descriptor = CreateTemplateTupleDesc(3);
	AttrNumber	column = 1;
	Oid			operator = ByteaLessOperator;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;
	Size		bytes = (groups->bits + BITS_PER_BYTE - 1) / BITS_PER_BYTE;
	bytea	   *key = palloc(VARHDRSZ + 4 + bytes);
	uint8	   *content = (uint8 *) VARDATA(key);
	uint64	   *code = palloc(groups->words * sizeof(uint64));
	TupleTableSlot *row = MakeSingleTupleTableSlot(groups->row_descriptor, &TTSOpsMinimalTuple);
	TupleTableSlot *slot;
	Tuplesortstate *sort;
	MemoryContext batch = AllocSetContextCreate(context, "xmhash codes to group", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context;

	TupleDescInitEntry(descriptor, 1, "key", BYTEAOID, -1, 0);
	TupleDescInitEntry(descriptor, 2, "ordinal", INT8OID, -1, 0);
	TupleDescInitEntry(descriptor, 3, "id", groups->kept_type, -1, 0);
	TupleDescFinalize(descriptor);
	slot = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
	sort = tuplesort_begin_heap(descriptor, 1, &column, &operator, &collation, &nulls_first,
								groups_memory(2), NULL, TUPLESORT_NONE);
	SET_VARSIZE(key, VARHDRSZ + 4 + bytes);
	while (tuplestore_gettupleslot(groups->rows, true, false, row))
	{
		uint16		distance = 0;
		int			centre = 0;
		const Bitcode *value;

		slot_getallattrs(row);
		CHECK_FOR_INTERRUPTS();
		old_context = MemoryContextSwitchTo(batch);
		value = DatumGetBitcodeP(row->tts_values[2]);
		bitcode_to_words(value, code);
		if (groups->centres > 0)
			centre = hamming_kernels->nearest(code, groups->centre, groups->words,
											  groups->centres, &distance);
		content[0] = (uint8) (centre >> 8);
		content[1] = (uint8) centre;
		content[2] = (uint8) (distance >> 8);
		content[3] = (uint8) distance;
		memcpy(content + 4, code, bytes);
		ExecClearTuple(slot);
		slot->tts_values[0] = PointerGetDatum(key);
		slot->tts_values[1] = row->tts_values[0];
		slot->tts_values[2] = row->tts_values[1];
		slot->tts_isnull[0] = slot->tts_isnull[1] = false;
		slot->tts_isnull[2] = row->tts_isnull[1];
		ExecStoreVirtualTuple(slot);
		MemoryContextSwitchTo(old_context);
		tuplesort_puttupleslot(sort, slot);
		MemoryContextReset(batch);
	}
	ExecDropSingleTupleTableSlot(row);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(batch);
	*sorted = descriptor;
	tuplesort_performsort(sort);
	return sort;
}

/* ---------- The distinct codes ---------- */

/* The next distinct code in the order of centres: its number is groups->codes. */
static void
groups_add_code(Groups *groups, Order *order, const uint64 *code, int centre, int distance)
{
	if (groups->codes == GROUPS_MAX_CODES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("relation \"%s\" has more than %u different codes",
						get_rel_name(groups->relation), GROUPS_MAX_CODES)));
	/* A page is of one centre. */
	if (order->pages == 0 || groups->next_centre <= centre ||
		groups->codes - order->start[order->pages - 1] == groups->page_codes)
	{
		while (groups->next_centre <= Min(centre, groups->centres))
			groups->first[groups->next_centre++] = order->pages;
		groups_begin_page(order, groups->codes, distance);
	}
	order->max[order->pages - 1] = (int16) distance;
	groups_add_set(groups);
	BufFileWrite(order->codes, (void *) code, groups->words * sizeof(uint64));
}

/* From sorted rows to numbered codes, and members that know their code's number. */
static Order *
groups_number(Groups *groups, Tuplesortstate *sort, TupleDesc sorted)
{
	Order	   *order = groups_begin_order(0, 0);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(sorted, &TTSOpsMinimalTuple);
	Size		bytes = (groups->bits + BITS_PER_BYTE - 1) / BITS_PER_BYTE;
	Size		key_bytes = 4 + bytes;
	uint8	   *last = palloc(key_bytes);
	uint64	   *code = palloc0(groups->words * sizeof(uint64));

	groups->members = tuplestore_begin_heap(false, false, groups_memory(4));
	groups->member_descriptor = CreateTemplateTupleDesc(3);
	TupleDescInitEntry(groups->member_descriptor, 1, "code", INT8OID, -1, 0);
	TupleDescInitEntry(groups->member_descriptor, 2, "ordinal", INT8OID, -1, 0);
	TupleDescInitEntry(groups->member_descriptor, 3, "id", groups->kept_type, -1, 0);
	TupleDescFinalize(groups->member_descriptor);
	while (tuplesort_gettupleslot(sort, true, false, slot, NULL))
	{
		const uint8 *key;
		Datum		values[3];
		bool		nulls[3] = {0};

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		/* Its header may be short or not; formed here, it is neither compressed nor out of line. */
		key = (const uint8 *) VARDATA_ANY(DatumGetPointer(slot->tts_values[0]));
		if (groups->codes > 0 && memcmp(key, last, key_bytes) == 0)
			groups_add_row(groups);
		else
		{
			memcpy(last, key, key_bytes);
			memcpy(code, key + 4, bytes);
			groups_add_code(groups, order, code, key[0] << 8 | key[1], key[2] << 8 | key[3]);
		}
		values[0] = Int64GetDatum((int64) groups->codes - 1);
		values[1] = slot->tts_values[1];
		values[2] = slot->tts_values[2];
		nulls[2] = slot->tts_isnull[2];
		tuplestore_putvalues(groups->members, groups->member_descriptor, values, nulls);
	}
	ExecDropSingleTupleTableSlot(slot);
	groups_end_sets(groups);
	while (groups->next_centre <= groups->centres)
		groups->first[groups->next_centre++] = order->pages;
	order->start[order->pages] = groups->codes;
	order->directory = (Directory) {
		.words = groups->words, .pages = order->pages, .centres = groups->centres,
		.centre = groups->centre, .first = groups->first, .min = order->min, .max = order->max};
	return order;
}

/* ---------- The answer ---------- */

/* A sort of members by two numbers: (…, ordinal, id). */
static Tuplesortstate *
groups_begin_members(Groups *groups)
{
	AttrNumber	columns[2] = {1, 2};
	Oid			operators[2] = {Int8LessOperator, Int8LessOperator};
	Oid			collations[2] = {InvalidOid, InvalidOid};
	bool		nulls_first[2] = {false, false};

	return tuplesort_begin_heap(groups->member_descriptor, 2, columns, operators, collations, nulls_first,
								groups_memory(4), NULL, TUPLESORT_NONE);
}

/* The member in a slot, with another first number. */
static void
groups_put_member(Tuplesortstate *sort, TupleTableSlot *out, TupleTableSlot *member, int64 number)
{
	ExecClearTuple(out);
	out->tts_values[0] = Int64GetDatum(number);
	out->tts_values[1] = member->tts_values[1];
	out->tts_values[2] = member->tts_values[2];
	out->tts_isnull[0] = out->tts_isnull[1] = false;
	out->tts_isnull[2] = member->tts_isnull[2];
	ExecStoreVirtualTuple(out);
	tuplesort_puttupleslot(sort, out);
}

/*
 * The members of sets with more than one row, sorted by (ordinal of the set's
 * first row, ordinal): so groups are numbered in the order of reading.  The
 * first row of a set is found by sorting them by set before.
 */
static void
groups_emit(Groups *groups, Tuplestorestate *result, TupleDesc result_descriptor)
{
	TupleTableSlot *member = MakeSingleTupleTableSlot(groups->member_descriptor, &TTSOpsMinimalTuple);
	TupleTableSlot *out = MakeSingleTupleTableSlot(groups->member_descriptor, &TTSOpsVirtual);
	Tuplesortstate *by_set = groups_begin_members(groups);
	Tuplesortstate *by_first = groups_begin_members(groups);
	int64		last = -1;
	int64		first = -1;
	int64		group = 0;

	while (tuplestore_gettupleslot(groups->members, true, false, member))
	{
		uint32		root;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(member);
		root = groups_find(groups, (uint32) DatumGetInt64(member->tts_values[0]));
		if (groups_has_rows(groups, root))
			groups_put_member(by_set, out, member, root);
	}
	ExecClearTuple(member);
	tuplestore_end(groups->members);
	groups_free_sets(groups);
	tuplesort_performsort(by_set);
	while (tuplesort_gettupleslot(by_set, true, false, member, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(member);
		if (DatumGetInt64(member->tts_values[0]) != last)
			first = DatumGetInt64(member->tts_values[1]);
		last = DatumGetInt64(member->tts_values[0]);
		groups_put_member(by_first, out, member, first);
	}
	tuplesort_end(by_set);
	tuplesort_performsort(by_first);
	last = -1;
	while (tuplesort_gettupleslot(by_first, true, false, member, NULL))
	{
		Datum		values[2];
		bool		nulls[2] = {0};

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(member);
		if (DatumGetInt64(member->tts_values[0]) != last)
			group++;
		last = DatumGetInt64(member->tts_values[0]);
		values[0] = Int64GetDatum(group);
		values[1] = member->tts_values[2];
		nulls[1] = member->tts_isnull[2];
		tuplestore_putvalues(result, result_descriptor, values, nulls);
	}
	tuplesort_end(by_first);
	ExecDropSingleTupleTableSlot(member);
	ExecDropSingleTupleTableSlot(out);
}

/*
 * How many codes are on a page.  Each takes GROUPS_DIRECTORY_BYTES of memory, and
 * some whole pages are in memory: where the former would be more than a share of
 * work_mem, pages are larger, unless the latter would then be.
 */
static void
groups_size_pages(Groups *groups)
{
	double		code_bytes = groups->words * sizeof(uint64);
	double		bytes = groups->row_count * code_bytes;
	double		page_bytes = Min(bytes * GROUPS_DIRECTORY_BYTES / (groups_memory(4) * 1024.0),
								 sqrt(bytes * GROUPS_DIRECTORY_BYTES / 2));

	groups->page_codes = Max(1, (int) (Max(GROUPS_PAGE_BYTES, page_bytes) / code_bytes));
}

static void
groups_find_centres(Groups *groups)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "xmhash centres of codes to group",
											   ALLOCSET_DEFAULT_SIZES);
	CoreEnv		env = core_env(work);
	int			samples = (int) Min(groups->row_count, groups->sample_capacity);
	int			wanted = centres_wanted((double) groups->row_count / groups->page_codes, groups->bits);

	if (wanted > 0)
	{
		/* As many centres as the sample can tell apart. */
		wanted = Min(wanted, Max(1, samples / 16));
		groups->centre = palloc((Size) wanted * groups->words * sizeof(uint64));
		groups->centres = centres_find(&env, groups->bits, groups->sample, samples,
									   wanted, GROUPS_SEED, groups->centre);
	}
	MemoryContextDelete(work);
	groups->first = palloc0(((Size) groups->centres + 1) * sizeof(uint32));
}

/*
 * The identifiers come as they are, or as text by their type's output function.
 * A cast could be a function of whoever made the type, and would run with the
 * caller's rights.
 */
static void
groups_check_id(Groups *groups, Oid wanted)
{
	Oid			output;
	bool		varlena;

	if (!OidIsValid(wanted))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_DATATYPE),
				 errmsg("could not determine the type of argument id_type")));
	groups->id_as_text = wanted == TEXTOID && !IsBinaryCoercible(groups->id_type, TEXTOID);
	if (groups->id_as_text)
	{
		getTypeOutputInfo(groups->id_type, &output, &varlena);
		fmgr_info(output, &groups->id_output);
	}
	else if (!IsBinaryCoercible(groups->id_type, wanted))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation \"%s\" is of type %s, but id_type is of type %s",
						groups->id_column, get_rel_name(groups->relation),
						format_type_be(groups->id_type), format_type_be(wanted)),
				 errhint("Identifiers are given in the type of their column, or as text.")));
	groups->kept_type = wanted;
}

static void
groups_get_arguments(Groups *groups, FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"relation", "id_column", "code_column", "radius"};

	for (int i = 0; i < lengthof(names); i++)
		eval_require_argument(fcinfo, i, names[i]);
	groups->relation = PG_GETARG_OID(0);
	groups->id_column = NameStr(*PG_GETARG_NAME(1));
	groups->code_column = NameStr(*PG_GETARG_NAME(2));
	groups->radius = PG_GETARG_INT32(3);
	if (groups->radius < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("radius must not be negative, but is %d", groups->radius)));
	groups->code_type = eval_code_column(groups->relation, groups->code_column, fcinfo->flinfo->fn_oid);
	groups->id_type = eval_column(groups->relation, groups->id_column);
	groups_check_id(groups, PG_NARGS() > 4 ? get_fn_expr_argtype(fcinfo->flinfo, 4) : TEXTOID);
}

Datum
xmhash_duplicate_groups(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash duplicate groups",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context;
	Groups	   *groups;
	Tuplestorestate *result;
	TupleDesc	result_descriptor;

	result = eval_begin_rows(fcinfo, &result_descriptor);
	old_context = MemoryContextSwitchTo(context);
	groups = palloc0(sizeof(Groups));
	groups_get_arguments(groups, fcinfo);
	groups->context = context;
	groups->random = GROUPS_SEED;
	INSTR_TIME_SET_CURRENT(groups->reported);
	groups->rows = tuplestore_begin_heap(false, false, groups_memory(4));
	groups->row_descriptor = CreateTemplateTupleDesc(3);
	TupleDescInitEntry(groups->row_descriptor, 1, "ordinal", INT8OID, -1, 0);
	TupleDescInitEntry(groups->row_descriptor, 2, "id", groups->kept_type, -1, 0);
	TupleDescInitEntry(groups->row_descriptor, 3, "code", groups->code_type, -1, 0);
	TupleDescFinalize(groups->row_descriptor);
	groups_read_rows(groups);
	if (groups->row_count > 1)
	{
		TupleDesc	sorted;
		Tuplesortstate *sort;
		Order	   *order;

		groups_size_pages(groups);
		groups_find_centres(groups);
		sort = groups_sort(groups, context, &sorted);
		tuplestore_end(groups->rows);
		order = groups_number(groups, sort, sorted);
		tuplesort_end(sort);
		groups_find_pairs(groups, order);
		groups_end_order(order);
		groups_emit(groups, result, result_descriptor);
	}
	else
		tuplestore_end(groups->rows);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	PG_RETURN_NULL();
}
