/*
 * train/source.c: read the training pairs of a relation, once, and check them.
 *
 * Everything that can be wrong with the data is found here, before anything is
 * trained or stored.  The query runs with the caller's rights, so permissions
 * and row security of the relation hold as for any SELECT.  The cursor is
 * closed before the first COMMIT, which would otherwise have to keep the rest
 * of its rows.
 */
#include "train/data.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "server/cast.h"
#include "server/distribution.h"
#include "server/lookup.h"
#include "server/row_place.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "access/relation.h"

#define ROWS_PER_FETCH 128

/* One feature column while it is read. */
typedef struct FeatureColumn
{
	const char *name;
	Oid			type;
	bool		is_double;		/* double precision[], else real[] */
	FeatureCast *cast;			/* to it; NULL: it is real[] already */
} FeatureColumn;

typedef struct Reader
{
	TrainData  *data;
	FeatureColumn column[2];
	Oid			label_type;		/* or invalid */
	float	   *values[2];		/* the row's features, when none is left out */
	bool		has_location;	/* the query gives tableoid and ctid */
	Oid			table;			/* of the row being read */
	ItemPointerData location;
} Reader;

/* Whether the current user may read a column; system columns are like others. */
static bool
source_may_read(Oid relation, AttrNumber number)
{
	return number != InvalidAttrNumber &&
		(pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		 pg_attribute_aclcheck(relation, number, GetUserId(), ACL_SELECT) == ACLCHECK_OK);
}

/*
 * Whether a table's primary key can be asked for by the name of the relation:
 * a child may have columns that its parent lacks, and the user may have no
 * right to them.  Then the details do without, rather than hide the error.
 */
static bool
source_key_is_readable(const TrainSource *source, Relation table, Bitmapset *key)
{
	int			member = -1;

	while ((member = bms_next_member(key, member)) >= 0)
	{
		AttrNumber	number = member + FirstLowInvalidHeapAttributeNumber;
		const char *name = NameStr(TupleDescAttr(RelationGetDescr(table), number - 1)->attname);

		if (!source_may_read(source->relation, get_attnum(source->relation, name)))
			return false;
	}
	return key != NULL;
}

/*
 * Where the row is, for the details of an error: its number as read, its place
 * and its primary key, each if there is one.  This runs a query, but only on
 * the way to an error.
 */
static char *
source_describe_row(const Reader *reader)
{
	StringInfoData text;
	StringInfoData query;
	Relation	table;
	Bitmapset  *key;
	Oid			elsewhere;
	int			member = -1;
	const char *separator = "";

	initStringInfo(&text);
	appendStringInfo(&text, "This is row %lld of relation %s, as read",
					 (long long) reader->data->read, reader->data->source->relation_name);
	/* Asked again: the relation may have been distributed before the query got its lock. */
	if (!reader->has_location || !OidIsValid(reader->table) || !ItemPointerIsValid(&reader->location) ||
		relation_rows_where(reader->data->source->relation, &elsewhere) != ROWS_HERE)
		return appendStringInfoChar(&text, '.'), text.data;

	appendStringInfo(&text, ", ctid (%u,%u)", ItemPointerGetBlockNumber(&reader->location),
					 ItemPointerGetOffsetNumber(&reader->location));
	table = relation_open(reader->table, AccessShareLock);
	key = RelationGetIndexAttrBitmap(table, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	if (source_key_is_readable(reader->data->source, table, key))
	{
		initStringInfo(&query);
		appendStringInfoString(&query, "SELECT pg_catalog.concat_ws(', '");
		appendStringInfo(&text, ", primary key (");
		while ((member = bms_next_member(key, member)) >= 0)
		{
			AttrNumber	number = member + FirstLowInvalidHeapAttributeNumber;
			const char *name = NameStr(TupleDescAttr(RelationGetDescr(table), number - 1)->attname);

			/* Without a cast, which may be the code of the type's owner. */
			appendStringInfo(&query, ", %s", quote_identifier(name));
			appendStringInfo(&text, "%s%s", separator, name);
			separator = ", ";
		}
		appendStringInfo(&query, ") FROM %s WHERE ctid OPERATOR(pg_catalog.=) '(%u,%u)'::pg_catalog.tid "
						 "AND tableoid OPERATOR(pg_catalog.=) %u::pg_catalog.oid",
						 reader->data->source->relation_name,
						 ItemPointerGetBlockNumber(&reader->location),
						 ItemPointerGetOffsetNumber(&reader->location), reader->table);
		/* By a new snapshot, as the cursor reads: the caller's may be older than the row. */
		if (SPI_execute(query.data, false, 1) == SPI_OK_SELECT && SPI_processed == 1)
			appendStringInfo(&text, ")=(%s)",
							 SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
		else
			appendStringInfo(&text, ")");
	}
	relation_close(table, AccessShareLock);
	appendStringInfoChar(&text, '.');
	return text.data;
}

/* How a feature column is to be read, by its type. */
static void
source_look_at_column(const TrainSource *source, Modality modality, FeatureColumn *column)
{
	column->name = NameStr(source->feature_column[modality]);
	column->type = lookup_column_type(source->relation, source->relation_name, column->name);
	column->is_double = getBaseType(column->type) == FLOAT8ARRAYOID;
	if (!column->is_double && getBaseType(column->type) != FLOAT4ARRAYOID)
		column->cast = feature_cast_create(column->type, column->name, source->relation_name);
}

/*
 * Has every row a ctid that leads back to it, and may the user see it?  Views
 * have none, that of a row on another server leads nowhere, and rights to some
 * columns alone leave it out.
 */
static bool
source_has_location(Oid relation)
{
	Oid			elsewhere;

	return source_may_read(relation, SelfItemPointerAttributeNumber) && source_may_read(relation, TableOidAttributeNumber) &&
		relation_rows_where(relation, &elsewhere) == ROWS_HERE;
}

static char *
source_build_query(Reader *reader)
{
	const TrainSource *source = reader->data->source;
	const char *label = NameStr(source->label_column);
	StringInfoData query;

	source_look_at_column(source, MODALITY_IMAGE, &reader->column[MODALITY_IMAGE]);
	source_look_at_column(source, MODALITY_TEXT, &reader->column[MODALITY_TEXT]);
	initStringInfo(&query);
	appendStringInfo(&query, "SELECT t.%s, t.%s, %s%s",
					 quote_identifier(reader->column[MODALITY_IMAGE].name),
					 quote_identifier(reader->column[MODALITY_TEXT].name),
					 label[0] != '\0' ? "t." : "NULL",
					 label[0] != '\0' ? quote_identifier(label) : "::pg_catalog.text");
	reader->has_location = source_has_location(source->relation);
	if (reader->has_location)
		appendStringInfoString(&query, ", t.tableoid, t.ctid");
	appendStringInfo(&query, " FROM %s AS t", source->relation_name);
	return query.data;
}

/* Element i of an array's values; there are no NULLs. */
static inline double
source_element(const FeatureColumn *column, const char *values, int i)
{
	return column->is_double ? ((const double *) values)[i] : ((const float *) values)[i];
}

/* The lengths of a column's vectors agree. */
static void
source_check_length(Reader *reader, Modality modality, ArrayType *array)
{
	TrainData  *data = reader->data;
	const char *name = reader->column[modality].name;
	int			length = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("column \"%s\" has an array of %d dimensions, expected 1", name, ARR_NDIM(array)),
				 errdetail_internal("%s", source_describe_row(reader))));
	if (length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("column \"%s\" has an empty array", name),
				 errdetail_internal("%s", source_describe_row(reader)),
				 errhint("A missing side of a pair is NULL.")));
	if (length > MODEL_MAX_DIMENSIONS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("column \"%s\" has an array of %d elements, expected at most %d",
						name, length, MODEL_MAX_DIMENSIONS),
				 errdetail_internal("%s", source_describe_row(reader))));
	if (data->dimensions[modality] == 0)
	{
		data->dimensions[modality] = length;
		reader->values[modality] = MemoryContextAlloc(data->context, length * sizeof(float));
	}
	if (length != data->dimensions[modality])
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("column \"%s\" has an array of %d elements, but the ones before have %d",
						name, length, data->dimensions[modality]),
				 errdetail_internal("%s", source_describe_row(reader))));
}

/* Take a row's features of one modality; false if they are all zero. */
static bool
source_read_features(Reader *reader, Modality modality, Datum value)
{
	const FeatureColumn *column = &reader->column[modality];
	ArrayType  *array = DatumGetArrayTypeP(value);
	float	   *values;
	bool		nonzero = false;
	int			i;

	source_check_length(reader, modality, array);
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column \"%s\" has an array with a NULL element", column->name),
				 errdetail_internal("%s", source_describe_row(reader))));
	values = reader->values[modality];
	for (i = 0; i < reader->data->dimensions[modality]; i++)
	{
		double		x = source_element(column, ARR_DATA_PTR(array), i);

		values[i] = (float) x;
		if (!isfinite(values[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 isfinite(x) ?
					 errmsg("column \"%s\" has %g as element %d, which is out of the range of real",
							column->name, x, i + 1) :
					 errmsg("column \"%s\" has %s as element %d, expected a finite number",
							column->name, isnan(x) ? "NaN" : x > 0 ? "Infinity" : "-Infinity", i + 1),
					 errdetail_internal("%s", source_describe_row(reader))));
		nonzero |= values[i] != 0;
	}
	return nonzero;
}

/* Check one row, and keep it unless it is to be left out. */
static void
source_read_row(Reader *reader, HeapTuple tuple, TupleDesc descriptor, bool needs_label)
{
	TrainData  *data = reader->data;
	Datum		value[3] = {0};
	bool		isnull[3];
	bool		nonzero[2];
	int32		labels = LABEL_NO_CLASS;
	int			i;

	data->read++;
	for (i = 0; i < 3; i++)
		value[i] = SPI_getbinval(tuple, descriptor, i + 1, &isnull[i]);
	if (reader->has_location)
		row_place(tuple, descriptor, 4, data->source->relation_name, &reader->table, &reader->location);
	/* Check the side that is there even if the pair will be left out. */
	for (i = 0; i < 2; i++)
	{
		if (reader->column[i].cast != NULL)
			value[i] = feature_cast_value(reader->column[i].cast, value[i], &isnull[i]);
		nonzero[i] = !isnull[i] && source_read_features(reader, i, value[i]);
	}

	for (i = 0; i < 2; i++)
		data->zero_side[i] += !isnull[i] && !nonzero[i];
	if (isnull[0] || isnull[1])
		data->without_side++;
	if (!nonzero[0] || !nonzero[1])
		return;
	if (data->labels != NULL)
		labels = labels_add(data->labels, value[2], isnull[2], data->read);
	if (needs_label && labels == LABEL_NO_CLASS)
		data->without_label++;
	else
		train_rows_add(data->rows, data->dimensions, reader->values, labels);
}

/* The types were looked up before the query had a lock on the relation. */
static void
source_check_types(const Reader *reader, TupleDesc descriptor)
{
	Oid			expected[3] = {reader->column[0].type, reader->column[1].type, reader->label_type};

	for (int i = 0; i < 3; i++)
		if (OidIsValid(expected[i]) && SPI_gettypeid(descriptor, i + 1) != expected[i])
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("relation %s was altered while its training began", reader->data->source->relation_name),
					 errhint("Try again.")));
}

/* Walk the relation with a cursor, a chunk at a time. */
static void
source_read_rows(Reader *reader, const char *query, bool needs_label)
{
	SPIPlanPtr	plan;
	Portal		portal;
	MemoryContext row_context;
	MemoryContext old_context;

	plan = SPI_prepare(query, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, false);
	/* Casts run between fetches, and could close it. */
	PinPortal(portal);
	row_context = AllocSetContextCreate(CurrentMemoryContext, "xmhash training row",
										ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		uint64		i;

		SPI_cursor_fetch(portal, true, ROWS_PER_FETCH);
		if (SPI_processed == 0)
			break;
		source_check_types(reader, SPI_tuptable->tupdesc);
		for (i = 0; i < SPI_processed; i++)
		{
			uint64		processed = SPI_processed;

			CHECK_FOR_INTERRUPTS();
			old_context = MemoryContextSwitchTo(row_context);
			source_read_row(reader, SPI_tuptable->vals[i], SPI_tuptable->tupdesc, needs_label);
			MemoryContextSwitchTo(old_context);
			MemoryContextReset(row_context);
			SPI_processed = processed;
		}
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_freetuptable(SPI_tuptable);
	MemoryContextDelete(row_context);
	UnpinPortal(portal);
	SPI_cursor_close(portal);
	SPI_freeplan(plan);
}

/* Say how many rows were left out, and stop if hardly any is left. */
static void
source_report_left_out(const TrainData *data, int batch_size)
{
	const char *name[2];
	int64		zero = 0;
	int			side;
	int			count = train_rows_count(data->rows);
	int64		left_out = data->read - count;

	for (side = 0; side < 2; side++)
	{
		name[side] = NameStr(data->source->feature_column[side]);
		zero = Max(zero, data->zero_side[side]);
	}
	if (left_out > 0)
		ereport(NOTICE,
				(errmsg("%lld of %lld rows are left out of training",
						(long long) left_out, (long long) data->read),
				 errdetail("Rows with a NULL side: %lld; with all-zero \"%s\": %lld; with all-zero \"%s\": %lld; without a label: %lld.",
						   (long long) data->without_side,
						   name[0], (long long) data->zero_side[0],
						   name[1], (long long) data->zero_side[1],
						   (long long) data->without_label)));
	for (side = 0; side < 2 && count == 0; side++)
	{
		if (data->zero_side[side] > 0 && data->zero_side[side] == zero &&
			data->zero_side[side] + data->without_side >= data->read)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" of relation %s is zero in every row",
							name[side], data->source->relation_name)));
	}
	if (batch_size == 0 && count < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("relation %s has %d pairs to train on, expected 2 at least",
						data->source->relation_name, count)));
	if (count < batch_size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("relation %s has %d pairs to train on, fewer than one batch of %d",
						data->source->relation_name, count, batch_size),
				 errhint("Give more rows, or a smaller option \"batch_size\".")));
}

/* Classes must be told apart; one that nothing belongs to is worth a word. */
static void
source_check_classes(TrainData *data, bool needs_label)
{
	StringInfoData empty;
	int			used = 0;
	int			number;

	data->classes = labels_classes(data->labels);
	initStringInfo(&empty);
	for (number = 0; number < data->classes; number++)
	{
		const char *name = labels_class_name(data->labels, number);

		if (labels_class_rows(data->labels, number) > 0)
			used++;
		else if (name != NULL)
			appendStringInfo(&empty, "%s\"%s\"", empty.len > 0 ? ", " : "", name);
		else
			appendStringInfo(&empty, "%s%d", empty.len > 0 ? ", " : "", number + 1);
	}
	if (needs_label && used < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of relation %s has %d class with rows to train on, expected at least 2",
						NameStr(data->source->label_column), data->source->relation_name, used)));
	if (empty.len > 0)
		ereport(NOTICE,
				(errmsg("column \"%s\" has classes without any row to train on: %s",
						NameStr(data->source->label_column), empty.data)));
	pfree(empty.data);
}

/* One number for all that training depends on: every row, in order. */
static int64
source_digest(TrainData *data)
{
	const TrainRow *entries = train_rows_entries(data->rows);
	uint64		digest = ((uint64) data->dimensions[0] << 32) | (uint32) data->dimensions[1];
	int			i;

	for (i = 0; i < train_rows_count(data->rows); i++)
	{
		CHECK_FOR_INTERRUPTS();
		digest = digest * UINT64CONST(0x9E3779B97F4A7C15) + entries[i].hash;
	}
	return (int64) digest;
}

void
train_data_read(TrainData *data, const TrainSource *source, const TrainOptions *options,
				MemoryContext context)
{
	bool		needs_label = options->method->needs_labels;
	MemoryContext old_context = MemoryContextSwitchTo(context);
	Reader		reader;
	char	   *query;

	memset(data, 0, sizeof(TrainData));
	memset(&reader, 0, sizeof(Reader));
	reader.data = data;
	data->context = context;
	data->source = source;
	data->rows = train_rows_create(context, xmhash_train_work_mem * INT64CONST(1024));
	query = source_build_query(&reader);
	if (NameStr(source->label_column)[0] != '\0')
	{
		data->labels = labels_create();
		reader.label_type = lookup_column_type(source->relation, source->relation_name, NameStr(source->label_column));
		labels_source(data->labels, get_rel_name(source->relation), NameStr(source->label_column), reader.label_type);
	}
	source_read_rows(&reader, query, needs_label);
	for (int side = 0; side < 2; side++)
		if (reader.column[side].cast != NULL)
			feature_cast_free(reader.column[side].cast);
	if (data->labels != NULL)
		labels_finish(data->labels);
	source_report_left_out(data, options->batch_size);
	if (data->labels != NULL)
		source_check_classes(data, needs_label);
	train_rows_sort(data->rows, data->labels);
	data->digest = source_digest(data);
	MemoryContextSwitchTo(old_context);
}
