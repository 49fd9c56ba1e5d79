/*
 * model/encode_table.c: CALL xmhash_encode_table(): fill the code columns of a table.
 *
 * The table is walked in ranges of blocks, of about batch_rows rows each.  A
 * range's features are read in chunks and encoded by matrix products, then one
 * UPDATE writes its codes, then it is committed.  Rows are named by tableoid
 * and ctid between reading and writing; the snapshot of the reading is kept
 * until then, so that VACUUM cannot give a row's place to another.  A row that
 * somebody else has changed in between is simply not found any more, and is
 * left to the next call.  All partitions are walked side by side.
 *
 * Such a name is good on one server only.  So before each range, under a lock
 * that keeps them as they are, all tables are known to have their rows here.
 *
 * Ranges grow while nothing is found in them, so one may turn out to hold far
 * more rows than a batch.  Then a shorter one is read instead: what has been
 * read so far is no range of its own, since neither partitions nor whatever
 * index the planner may choose give rows in the order of ctid.
 */
#include "model/table_encoder.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parse_coerce.h"
#include "portability/instr_time.h"
#include "server/distribution.h"
#include "server/lookup.h"
#include "server/procedure.h"
#include "server/role.h"
#include "storage/bufmgr.h"
#include "storage/itemptr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* Blocks of one range at most, which take far longer to read than to ask for. */
#define MAX_BLOCKS 8192

/* A range of more than this many batches is read anew as one of a 16th of its blocks. */
#define MAX_BATCHES 4

/* Arguments of xmhash_encode_table(), in order. */
enum
{
	ARGUMENT_MODEL,
	ARGUMENT_RELATION,
	ARGUMENT_FEATURES_IMAGE,
	ARGUMENT_CODE_IMAGE,
	ARGUMENT_FEATURES_TEXT,
	ARGUMENT_CODE_TEXT,
	ARGUMENT_ONLY_MISSING,
	ARGUMENT_BATCH_ROWS
};

static void
encode_table_check_columns(const TableEncoder *encoder, Oid code_type)
{
	int			side;

	for (side = 0; side < 2; side++)
	{
		Oid			type;
		Oid			function;

		if (!encoder->used[side])
			continue;
		type = lookup_column_type(encoder->relation, encoder->relation_name, encoder->features_column[side]);
		if (getBaseType(type) != FLOAT4ARRAYOID &&
			find_coercion_pathway(FLOAT4ARRAYOID, type, COERCION_EXPLICIT, &function) == COERCION_PATH_NONE)
			lookup_fail_cast(encoder->features_column[side], encoder->relation_name, type);
		type = lookup_column_type(encoder->relation, encoder->relation_name, encoder->code_column[side]);
		if (getBaseType(type) != code_type)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of relation %s is of type %s, expected bitcode",
							encoder->code_column[side], encoder->relation_name, format_type_be(type))));
	}
}

static void
encode_table_build_queries(TableEncoder *encoder)
{
	StringInfoData select;
	StringInfoData missing;
	StringInfoData update;
	int			side;

	initStringInfo(&select);
	initStringInfo(&missing);
	initStringInfo(&update);
	appendStringInfoString(&select, "SELECT t.tableoid, t.ctid");
	appendStringInfo(&update, "UPDATE %s AS t SET ", encoder->relation_name);
	for (side = 0; side < 2; side++)
	{
		const char *features;
		const char *code;

		if (!encoder->used[side])
		{
			appendStringInfoString(&select, ", NULL::pg_catalog.float4[]");
			continue;
		}
		features = quote_identifier(encoder->features_column[side]);
		code = quote_identifier(encoder->code_column[side]);
		appendStringInfo(&select, ", t.%s::pg_catalog.float4[]", features);
		appendStringInfo(&missing, "%s(t.%s IS NOT NULL AND t.%s IS NULL)",
						 missing.len > 0 ? " OR " : "", features, code);
		appendStringInfo(&update, side == 1 && encoder->used[0] ? ", %s = " : "%s = ", code);
		if (encoder->only_missing)
			appendStringInfo(&update, "COALESCE(t.%s, u.code%d)", code, side);
		else
			appendStringInfo(&update, "u.code%d", side);
	}
	appendStringInfo(&select, " FROM %s AS t WHERE t.ctid OPERATOR(pg_catalog.>=) $1 "
					 "AND t.ctid OPERATOR(pg_catalog.<) $2", encoder->relation_name);
	if (encoder->only_missing)
		appendStringInfo(&select, " AND (%s)", missing.data);
	appendStringInfoString(&update, " FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), "
						   "pg_catalog.unnest($5), pg_catalog.unnest($6)) AS u (place_table, place, code0, code1) "
						   "WHERE t.ctid OPERATOR(pg_catalog.>=) $1 AND t.ctid OPERATOR(pg_catalog.<) $2 "
						   "AND t.ctid OPERATOR(pg_catalog.=) u.place "
						   "AND t.tableoid OPERATOR(pg_catalog.=) u.place_table");
	encoder->select = select.data;
	encoder->update = update.data;
}

/* A name in a call that a hint shows: quoted, and NULL without quotes. */
static const char *
encode_table_quote_argument(const char *name)
{
	return name != NULL ? quote_literal_cstr(name) : "NULL";
}

/* Twice each %, for format(). */
static char *
encode_table_escape_format(const char *text)
{
	StringInfoData escaped;

	initStringInfo(&escaped);
	for (; *text != '\0'; text++)
		appendStringInfo(&escaped, *text == '%' ? "%%%%" : "%c", *text);
	return escaped.data;
}

/* The call as it would be on each shard, the table's name being %s. */
static char *
encode_table_shard_command(const TableEncoder *encoder)
{
	StringInfoData call;
	int			side;

	initStringInfo(&call);
	for (side = 0; side < 2; side++)
		appendStringInfo(&call, ", %s, %s", encode_table_quote_argument(encoder->features_column[side]),
						 encode_table_quote_argument(encoder->code_column[side]));
	return psprintf("CALL %s(%s, '%%s'%s%s)", distributed_function(encoder->function),
					encode_table_escape_format(encode_table_quote_argument(lookup_relation_name(encoder->model))), encode_table_escape_format(call.data),
					encoder->only_missing ? "" : ", only_missing => false");
}

/* A row is named by where it lies, so it has to lie here. */
static void
encode_table_check_rows_here(const TableEncoder *encoder)
{
	Oid			table;
	RowsWhere	where = relation_rows_where(encoder->relation, &table);

	if (where == ROWS_HERE || where == ROWS_OF_VIEW)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("cannot encode table \"%s\": it is %s", get_rel_name(table),
					where == ROWS_FOREIGN ? "a foreign table" : "distributed by Citus"),
			 where == ROWS_FOREIGN ? errhint("Call xmhash_encode_table() on the server that has its rows.") :
			 errhint("Call it for each shard: %s", distributed_command(table, where, encode_table_shard_command(encoder)))));
}

/* Blocks of the longest table among the relation and what inherits from it. */
static BlockNumber
encode_table_count_blocks(const TableEncoder *encoder)
{
	List	   *tables;
	BlockNumber most = 0;
	ListCell   *cell;

	LockRelationOid(encoder->relation, AccessShareLock);
	encode_table_check_rows_here(encoder);
	tables = find_all_inheritors(encoder->relation, AccessShareLock, NULL);
	foreach(cell, tables)
	{
		Relation	table = table_open(lfirst_oid(cell), NoLock);
		char		kind = table->rd_rel->relkind;

		if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is no table or partitioned table", RelationGetRelationName(table)),
					 errhint("Encode another relation with UPDATE and xmhash_encode_image() or xmhash_encode_text().")));
		if (kind == RELKIND_RELATION)
			most = Max(most, RelationGetNumberOfBlocks(table));
		table_close(table, NoLock);
	}
	return most;
}

static Datum
encode_table_make_array(const Datum *values, bool *nulls, int count, Oid type)
{
	int16		length;
	bool		by_value;
	char		align;
	int			lower = 1;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	return PointerGetDatum(construct_md_array((Datum *) values, nulls, 1, &count, &lower, type,
											  length, by_value, align));
}

/*
 * By the name the queries find the relation: whatever else has it by now, maybe
 * with triggers, is not to be written to with rights meant for this one.  The
 * lock keeps the relation's own name; another schema may get that of its schema.
 */
static void
encode_table_check_name(const TableEncoder *encoder)
{
	char	   *name;

	AcceptInvalidationMessages();
	name = lookup_relation_name(encoder->relation);
	if (name == NULL || strcmp(name, encoder->relation_name) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation %s was renamed while it was encoded", encoder->relation_name),
				 errhint("Try again.")));
}

static void
encode_table_write_range(TableEncoder *encoder, Datum bounds[2])
{
	Oid			code_type = get_element_type(encoder->code_array_type);
	Oid			types[6] = {TIDOID, TIDOID, OIDARRAYOID, TIDARRAYOID,
	encoder->code_array_type, encoder->code_array_type};
	Datum		values[6];
	int			side;

	values[0] = bounds[0];
	values[1] = bounds[1];
	values[2] = encode_table_make_array(encoder->table, NULL, encoder->count, OIDOID);
	values[3] = encode_table_make_array(encoder->place, NULL, encoder->count, TIDOID);
	for (side = 0; side < 2; side++)
		values[4 + side] = encode_table_make_array(encoder->code[side], encoder->code_is_null[side],
												   encoder->count, code_type);
	encode_table_check_name(encoder);
	if (SPI_execute_with_args(encoder->update, 6, types, values, NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not update relation %s", encoder->relation_name);
	encoder->encoded += SPI_processed;
}

/*
 * Read, encode and write one range, by the active snapshot; false if it has
 * too many rows and was left.  A single block is not left: its partitions'
 * rows are written in pieces, which the snapshot does not see.
 */
static bool
encode_table_walk_range(TableEncoder *encoder, Datum bounds[2], bool divisible)
{
	Oid			types[2] = {TIDOID, TIDOID};
	SPIPlanPtr	plan = SPI_prepare(encoder->select, 2, types);
	int			most = MAX_BATCHES * encoder->batch_rows;
	Portal		portal;
	uint64		found;
	bool		fits = true;

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	portal = SPI_cursor_open(NULL, plan, bounds, NULL, true);
	/* Triggers run before it is at its end, and could close it. */
	PinPortal(portal);
	do
	{
		SPITupleTable *rows;

		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, Min(encoder->chunk_rows, most + 1 - encoder->count));
		rows = SPI_tuptable;
		found = SPI_processed;
		if (found > 0)
			encode_chunk(encoder, rows, (int) found);
		SPI_freetuptable(rows);
		fits = encoder->count <= most;
		if (encoder->count > 0 && (found == 0 || (!fits && !divisible)))
		{
			encode_table_write_range(encoder, bounds);
			encoder->count = found == 0 ? encoder->count : 0;
		}
	} while (found > 0 && (fits || !divisible));
	UnpinPortal(portal);
	SPI_cursor_close(portal);
	SPI_freeplan(plan);
	return fits || !divisible;
}

/*
 * The owner, who can't change any more until this range is committed.  The lock
 * is that of an UPDATE, which then need not wait, when it has found the name;
 * it also keeps out whoever would distribute the table.
 */
static Oid
encode_table_find_owner(const TableEncoder *encoder)
{
	HeapTuple	tuple;
	Oid			owner;

	LockRelationOid(encoder->relation, RowExclusiveLock);
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(encoder->relation));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation %s does not exist any more", encoder->relation_name)));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	encode_table_check_name(encoder);
	encode_table_check_rows_here(encoder);
	return owner;
}

/*
 * Walk a range as the relation's owner, if the caller has his rights besides
 * others: triggers, constraints, index expressions and casts are the owner's
 * code.  Whoever has been granted rights on the table only runs them as
 * himself, as by any UPDATE.  Rows that the caller may see are never left out
 * in silence because row security is forced on the owner: that is an error.
 */
static bool
encode_table_walk_range_as_owner(TableEncoder *encoder, Datum bounds[2], bool divisible)
{
	Oid			owner = encode_table_find_owner(encoder);
	bool		sees_all = has_bypassrls_privilege(GetUserId());
	RoleSwitch	role;
	bool		done;

	if (role_is_trusted(owner) || !has_privs_of_role(GetUserId(), owner))
		return encode_table_walk_range(encoder, bounds, divisible);
	role_switch(&role, owner);
	if (sees_all)
		(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	done = encode_table_walk_range(encoder, bounds, divisible);
	role_restore(&role);
	return done;
}

/* One range, and its commit; false if it has too many rows. */
static bool
encode_table_range(TableEncoder *encoder, BlockNumber from, BlockNumber to)
{
	MemoryContext old_context = MemoryContextSwitchTo(encoder->range_context);
	ItemPointerData low;
	ItemPointerData high;
	Datum		bounds[2];
	bool		done;

	ItemPointerSet(&low, from, 0);
	ItemPointerSet(&high, to, 0);
	bounds[0] = PointerGetDatum(&low);
	bounds[1] = PointerGetDatum(&high);
	encoder->count = 0;
	PushActiveSnapshot(GetTransactionSnapshot());
	done = encode_table_walk_range_as_owner(encoder, bounds, to - from > 1);
	PopActiveSnapshot();
	if (!encoder->atomic)
		SPI_commit();
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(encoder->range_context);
	return done;
}

/* Walk the table; ranges grow or shrink towards batch_rows rows each. */
static void
encode_table_blocks(TableEncoder *encoder)
{
	BlockNumber blocks = encode_table_count_blocks(encoder);
	BlockNumber from = 0;
	double		step = Max(1, encoder->batch_rows / 64);
	instr_time	said;

	INSTR_TIME_SET_CURRENT(said);
	while (from < blocks)
	{
		BlockNumber to = from + (BlockNumber) Min(step, (double) (blocks - from));
		instr_time	now;

		if (encode_table_range(encoder, from, to))
		{
			from = to;
			step *= Min(4, Max(0.25, (double) encoder->batch_rows / Max(encoder->count, 1)));
			step = Min(step, MAX_BLOCKS);
		}
		else
			step = (to - from) / 16.0;
		step = Max(step, 1);

		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, said);
		if (xmhash_progress && (INSTR_TIME_GET_DOUBLE(now) >= 1 || from == blocks))
		{
			INSTR_TIME_SET_CURRENT(said);
			ereport(INFO,
					(errmsg("encoded " INT64_FORMAT " rows of %s, %.0f %% of its blocks visited",
							encoder->encoded, encoder->relation_name, 100.0 * from / blocks)));
		}
	}
}

static const char *
encode_table_column_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : pstrdup(NameStr(*PG_GETARG_NAME(number)));
}

static void
encode_table_read_arguments(FunctionCallInfo fcinfo, TableEncoder *encoder)
{
	int			side;

	if (PG_ARGISNULL(ARGUMENT_MODEL) || PG_ARGISNULL(ARGUMENT_RELATION) ||
		PG_ARGISNULL(ARGUMENT_ONLY_MISSING) || PG_ARGISNULL(ARGUMENT_BATCH_ROWS))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("only the column arguments of xmhash_encode_table may be NULL")));
	encoder->model = PG_GETARG_OID(ARGUMENT_MODEL);
	encoder->relation = PG_GETARG_OID(ARGUMENT_RELATION);
	encoder->relation_name = lookup_relation_name(encoder->relation);
	if (encoder->relation_name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", encoder->relation)));
	encoder->only_missing = PG_GETARG_BOOL(ARGUMENT_ONLY_MISSING);
	encoder->batch_rows = PG_GETARG_INT32(ARGUMENT_BATCH_ROWS);
	if (encoder->batch_rows < 1 || encoder->batch_rows > 1000000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"batch_rows\" is %d, expected 1 to 1000000", encoder->batch_rows)));
	for (side = 0; side < 2; side++)
	{
		encoder->features_column[side] = encode_table_column_argument(fcinfo, ARGUMENT_FEATURES_IMAGE + 2 * side);
		encoder->code_column[side] = encode_table_column_argument(fcinfo, ARGUMENT_CODE_IMAGE + 2 * side);
		encoder->used[side] = encoder->features_column[side] != NULL;
		if (encoder->used[side] != (encoder->code_column[side] != NULL))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("arguments \"%s_column\" and \"%s_code_column\" must be given together, or neither",
							modality_name[side], modality_name[side])));
	}
	if (!encoder->used[0] && !encoder->used[1])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no column to encode was given")));
}

XMHASH_FUNCTION(xmhash_encode_table);

Datum
xmhash_encode_table(PG_FUNCTION_ARGS)
{
	TableEncoder encoder;
	Oid			code_type = lookup_type(fcinfo->flinfo->fn_oid, "bitcode");

	memset(&encoder, 0, sizeof(encoder));
	encoder.atomic = procedure_is_atomic(fcinfo);
	encoder.function = fcinfo->flinfo->fn_oid;
	SPI_connect_ext(encoder.atomic ? 0 : SPI_OPT_NONATOMIC);
	encode_table_read_arguments(fcinfo, &encoder);
	encoder.code_array_type = get_array_type(code_type);
	encode_table_check_columns(&encoder, code_type);
	encode_chunk_prepare(&encoder, fcinfo->flinfo->fn_oid);
	encode_table_build_queries(&encoder);
	encode_table_blocks(&encoder);
	SPI_finish();
	PG_RETURN_VOID();
}
