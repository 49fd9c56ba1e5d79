/*
 * model_storage.c: models in their tables.
 *
 * The tables belong to whoever owns the extension.  Functions reach them with
 * that owner's rights, for the length of one query each, after they have
 * checked that the current user is a member of the model's owner: so users
 * need no right to change the tables, and cannot change a finished model.
 *
 * A name is locked, as an object of class xmhash_model, while a training runs
 * and while a model is made, renamed or dropped.  It is a lock of the default
 * method: a session's one is released by an abort of the transaction, as those
 * of VACUUM are, so an error or cancel needs no clean-up.
 *
 * Every name in a query is qualified, operators too, because the search path
 * is the user's.
 */
#include "model.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "code.h"
#include "common/hashfn.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

const char *const modality_name[2] = {"image", "text"};

/* The tables lie in the schema of the function that asks, wherever that is. */
void
model_tables(Oid function, ModelTables *tables)
{
	Oid			schema = get_func_namespace(function);
	HeapTuple	tuple;

	tables->schema = pstrdup(quote_identifier(get_namespace_name(schema)));
	tables->relation = get_relname_relid("xmhash_model", schema);
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(tables->relation));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s.xmhash_model does not exist", tables->schema),
				 errhint("Is the extension xmhash installed completely?")));
	tables->owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
}

/*
 * Models are found by the latest snapshot, as catalog entries are: what is
 * found is cached beyond this query, and an older snapshot could bring back a
 * model that has been dropped.  In a parallel query there is only the query's
 * own, and the cache forgets such finds with the transaction.
 */
static bool
push_snapshot(void)
{
	if (IsInParallelMode())
		return false;
	PushActiveSnapshot(GetLatestSnapshot());
	return true;
}

/*
 * Run a query as the tables' owner; %1$s in it stands for their schema.  An
 * error leaves the user switched, which the abort of the transaction undoes.
 */
uint64
model_execute(const ModelTables *tables, const char *query, bool read_only,
			  int count, Oid *types, Datum *values, const char *nulls)
{
	char	   *text = psprintf(query, tables->schema);
	bool		pushed = read_only && push_snapshot();
	Oid			user;
	int			security;
	int			result;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(tables->owner, security | SECURITY_LOCAL_USERID_CHANGE);
	result = SPI_execute_with_args(text, count, types, values, nulls, read_only, 0);
	SetUserIdAndSecContext(user, security);
	if (pushed)
		PopActiveSnapshot();
	if (result < 0)
		elog(ERROR, "query \"%s\" failed: %s", text, SPI_result_code_string(result));
	pfree(text);
	return SPI_processed;
}

void
model_check_name(const char *name)
{
	int			length = strlen(name);

	if (length == 0 || length > MODEL_MOST_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("model name has %d bytes, expected 1 to %d", length, MODEL_MOST_NAME)));
}

/* A random identity: never used again, whatever is restored from where. */
void
model_make_id(pg_uuid_t *id)
{
	if (!pg_strong_random(id->data, UUID_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	id->data[6] = (id->data[6] & 0x0f) | 0x40;	/* a random UUID, version 4 */
	id->data[8] = (id->data[8] & 0x3f) | 0x80;
}

/* The view xmhash_models computes the same numbers. */
static void
name_lock_tag(const ModelTables *tables, const char *name, LOCKTAG *tag)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) name, strlen(name), 0);

	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, tables->relation, (uint32) hash,
					   (uint16) ((hash >> 32) & 0x7FFF));
}

/* Who holds a name's lock, when it is no process. */
#define HOLDER_GONE 0			/* nobody any more */
#define HOLDER_PREPARED -1		/* a prepared transaction */

/* The process that holds a name's lock. */
static int
find_lock_holder(const LOCKTAG *tag)
{
	Oid			types[4] = {OIDOID, OIDOID, OIDOID, INT4OID};
	Datum		values[4];
	bool		isnull;
	int			pid;

	values[0] = ObjectIdGetDatum(tag->locktag_field1);
	values[1] = ObjectIdGetDatum(tag->locktag_field2);
	values[2] = ObjectIdGetDatum(tag->locktag_field3);
	values[3] = Int32GetDatum(tag->locktag_field4);
	if (SPI_execute_with_args("SELECT l.pid FROM pg_catalog.pg_locks AS l "
							  "WHERE l.granted AND l.locktype OPERATOR(pg_catalog.=) 'object' "
							  "AND l.database OPERATOR(pg_catalog.=) $1 "
							  "AND l.classid OPERATOR(pg_catalog.=) $2 "
							  "AND l.objid OPERATOR(pg_catalog.=) $3 "
							  "AND l.objsubid OPERATOR(pg_catalog.=) $4 "
							  "AND (l.pid IS NULL OR l.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid())",
							  4, types, values, NULL, true, 1) != SPI_OK_SELECT ||
		SPI_processed == 0)
		return HOLDER_GONE;
	pid = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	return isnull ? HOLDER_PREPARED : pid;
}

/*
 * Lock a name for the transaction, or for the session when the work commits on
 * its way.  It does not wait: a training may take hours.
 */
void
model_lock_name(const ModelTables *tables, const char *name, bool session)
{
	LOCKTAG		tag;
	int			pid;

	name_lock_tag(tables, name, &tag);
	if (LockAcquire(&tag, ExclusiveLock, session, true) != LOCKACQUIRE_NOT_AVAIL)
		return;
	pid = find_lock_holder(&tag);
	if (pid == HOLDER_PREPARED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("model \"%s\" is in use by a prepared transaction", name),
				 errhint("COMMIT PREPARED or ROLLBACK PREPARED ends it; the view pg_prepared_xacts lists them.")));
	if (pid == HOLDER_GONE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("model \"%s\" was in use by another session a moment ago", name),
				 errhint("Try again.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("model \"%s\" is in use by the process with PID %d", name, pid),
			 errhint("A training, import, renaming or drop of it is running there; pg_terminate_backend(%d) would end it.",
					 pid)));
}

/* Let go of a session's lock; those of a transaction go with it. */
void
model_unlock_name(const ModelTables *tables, const char *name)
{
	LOCKTAG		tag;

	name_lock_tag(tables, name, &tag);
	LockRelease(&tag, ExclusiveLock, true);
}

static uint64
query_name(const ModelTables *tables, const char *query, const char *name)
{
	Oid			type = TEXTOID;
	Datum		value = CStringGetTextDatum(name);

	return model_execute(tables, query, true, 1, &type, &value, NULL);
}

/* Whether anybody's model has this name, and whether this user may use it. */
bool
model_name_exists(const ModelTables *tables, const char *name, bool *usable)
{
	bool		isnull;

	*usable = false;
	if (query_name(tables, "SELECT m.owner FROM %1$s.xmhash_model AS m "
				   "WHERE m.name OPERATOR(pg_catalog.=) $1", name) == 0)
		return false;
	*usable = is_member_of_role(GetUserId(),
								DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0],
															   SPI_tuptable->tupdesc, 1, &isnull)));
	return true;
}

/* For a new model: the caller holds the name's lock. */
void
model_check_name_free(const ModelTables *tables, const char *name)
{
	bool		usable;

	if (!model_name_exists(tables, name, &usable))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("model \"%s\" already exists", name),
			 usable ?
			 errhint("Use another name, or remove the model with xmhash_drop_model().") :
			 errhint("It belongs to another role. Use another name.")));
}

static int
get_integer(int column)
{
	bool		isnull;

	return DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull));
}

static int64
get_bigint(int column, int64 otherwise)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

static char *
get_string(int column)
{
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);
}

/* Units of the hidden layers, however many are stored; check_row() looks at them. */
static void
get_hidden(int column, HiddenLayers *hidden)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);
	Datum	   *units;
	bool	   *nulls;
	int			count;
	int			i;

	memset(hidden, 0, sizeof(*hidden));
	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypePCopy(value), INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &units, &nulls, &count);
	hidden->count = count;
	for (i = 0; i < Min(count, NETWORK_MOST_LAYERS - 1); i++)
		hidden->units[i] = nulls[i] ? 0 : DatumGetInt32(units[i]);
}

static void
get_class_names(int column, ModelRow *row)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);
	Datum	   *names;
	bool	   *nulls;
	int			i;

	row->classes = 0;
	row->class_names = NULL;
	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypePCopy(value), TEXTOID, -1, false, TYPALIGN_INT,
					  &names, &nulls, &row->classes);
	row->class_names = palloc((row->classes + 1) * sizeof(char *));
	for (i = 0; i < row->classes; i++)
		row->class_names[i] = nulls[i] ? pstrdup("") : TextDatumGetCString(names[i]);
}

static bool
hidden_is_possible(const HiddenLayers *hidden)
{
	int			i;

	if (hidden->count < 0 || hidden->count > NETWORK_MOST_LAYERS - 1)
		return false;
	for (i = 0; i < hidden->count; i++)
	{
		if (hidden->units[i] < 1 || hidden->units[i] > MODEL_MOST_HIDDEN)
			return false;
	}
	return true;
}

/* One of the two networks may be absent: then nothing of it may be there. */
static bool
side_is_possible(const ModelRow *row, int side)
{
	if (!model_has(row, side))
		return model_has(row, 1 - side) && row->hidden[side].count == 0 && row->scales[side] == 0;
	return row->dimensions[side] >= 1 && row->dimensions[side] <= MODEL_MOST_DIMENSIONS &&
		hidden_is_possible(&row->hidden[side]) &&
		(row->scales[side] == 1 || row->scales[side] == row->dimensions[side]);
}

/*
 * The stored numbers are checked before anything is sized by them: a user may
 * insert rows, of models of his own, and a restored dump may be damaged.
 */
static void
check_row(const ModelRow *row)
{
	int			side;

	for (side = 0; side < 2; side++)
	{
		if (row->bits < 1 || row->bits > BITCODE_MAX_BITS || !side_is_possible(row, side))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("model \"%s\" has an impossible shape", row->name),
					 errdetail("It has %d bits, and for its %s network %d dimensions, %d hidden layers (the first of %d units) and %d scales.",
							   row->bits, modality_name[side], row->dimensions[side],
							   row->hidden[side].count, row->hidden[side].units[0], row->scales[side])));
	}
}

/* Find a model that the current user may use.  SPI must be connected. */
bool
model_find(const ModelTables *tables, const char *name, ModelRow *row)
{
	bool		isnull;
	Datum		id;

	if (query_name(tables, "SELECT m.id, m.owner, m.method, m.bits, m.image_dimensions, "
				   "m.text_dimensions, m.image_hidden, m.text_hidden, m.image_scales, "
				   "m.text_scales, m.classes, m.source, m.options, m.status, m.pairs, m.digest "
				   "FROM %1$s.xmhash_model AS m WHERE m.name OPERATOR(pg_catalog.=) $1", name) == 0)
		return false;
	id = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	memcpy(&row->id, DatumGetUUIDP(id), sizeof(pg_uuid_t));
	row->name = pstrdup(name);
	row->owner = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	row->method = get_string(3);
	row->bits = get_integer(4);
	row->dimensions[MODALITY_IMAGE] = get_integer(5);
	row->dimensions[MODALITY_TEXT] = get_integer(6);
	get_hidden(7, &row->hidden[MODALITY_IMAGE]);
	get_hidden(8, &row->hidden[MODALITY_TEXT]);
	row->scales[MODALITY_IMAGE] = get_integer(9);
	row->scales[MODALITY_TEXT] = get_integer(10);
	get_class_names(11, row);
	row->source = get_string(12);
	row->options = get_string(13);
	row->status = get_string(14);
	row->pairs = get_bigint(15, -1);
	row->digest = get_bigint(16, 0);
	SPI_freetuptable(SPI_tuptable);
	if (!is_member_of_role(GetUserId(), row->owner))
		return false;
	check_row(row);
	return true;
}

void
model_find_or_fail(const ModelTables *tables, const char *name, ModelRow *row)
{
	if (!model_find(tables, name, row))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" does not exist", name),
				 errdetail("Or it belongs to a role of which the current one is no member."),
				 errhint("The view xmhash_models lists the models that you can use.")));
}

static Datum
class_names_datum(const ModelRow *row)
{
	Datum	   *names = palloc((row->classes + 1) * sizeof(Datum));
	int			i;

	for (i = 0; i < row->classes; i++)
		names[i] = CStringGetTextDatum(row->class_names != NULL ? row->class_names[i] :
									   psprintf("%d", i + 1));
	return PointerGetDatum(construct_array(names, row->classes, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum
hidden_datum(const HiddenLayers *hidden)
{
	Datum		units[NETWORK_MOST_LAYERS];
	int			i;

	for (i = 0; i < hidden->count; i++)
		units[i] = Int32GetDatum(hidden->units[i]);
	return PointerGetDatum(construct_array(units, hidden->count, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* A new row, under its id and name; the model belongs to row->owner. */
void
model_insert(const ModelTables *tables, const ModelRow *row)
{
	Oid			types[17] = {UUIDOID, TEXTOID, OIDOID, TEXTOID, INT4OID, INT4OID, INT4OID, INT4ARRAYOID,
	INT4ARRAYOID, INT4OID, INT4OID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID};
	Datum		values[17];
	char		nulls[17];

	memset(nulls, ' ', sizeof(nulls));
	memset(values, 0, sizeof(values));
	values[0] = UUIDPGetDatum(&row->id);
	values[1] = CStringGetTextDatum(row->name);
	values[2] = ObjectIdGetDatum(row->owner);
	values[3] = CStringGetTextDatum(row->method);
	values[4] = Int32GetDatum(row->bits);
	values[5] = Int32GetDatum(row->dimensions[MODALITY_IMAGE]);
	values[6] = Int32GetDatum(row->dimensions[MODALITY_TEXT]);
	values[7] = hidden_datum(&row->hidden[MODALITY_IMAGE]);
	values[8] = hidden_datum(&row->hidden[MODALITY_TEXT]);
	values[9] = Int32GetDatum(row->scales[MODALITY_IMAGE]);
	values[10] = Int32GetDatum(row->scales[MODALITY_TEXT]);
	if (row->classes > 0)
		values[11] = class_names_datum(row);
	else
		nulls[11] = 'n';
	if (row->source != NULL)
		values[12] = CStringGetTextDatum(row->source);
	else
		nulls[12] = 'n';
	if (row->options != NULL)
		values[13] = CStringGetTextDatum(row->options);
	else
		nulls[13] = 'n';
	values[14] = CStringGetTextDatum(row->status);
	values[15] = Int64GetDatum(row->pairs);
	values[16] = Int64GetDatum(row->digest);
	if (row->pairs < 0)
		nulls[15] = nulls[16] = 'n';
	model_execute(tables, "INSERT INTO %1$s.xmhash_model (id, name, owner, method, bits, "
				  "image_dimensions, text_dimensions, image_hidden, text_hidden, image_scales, "
				  "text_scales, classes, source, options, status, pairs, digest) "
				  "VALUES ($1, $2, $3::pg_catalog.regrole, $4, $5, $6, $7, $8, $9, $10, $11, $12, "
				  "$13::pg_catalog.jsonb, $14::pg_catalog.jsonb, $15, $16, $17)",
				  false, 17, types, values, nulls);
}

void
model_set_status(const ModelTables *tables, const ModelRow *row, const char *status)
{
	Oid			types[2] = {UUIDOID, TEXTOID};
	Datum		values[2];

	values[0] = UUIDPGetDatum(&row->id);
	values[1] = CStringGetTextDatum(status);
	if (model_execute(tables, "UPDATE %1$s.xmhash_model SET status = $2 "
					  "WHERE id OPERATOR(pg_catalog.=) $1", false, 2, types, values, NULL) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" has been removed meanwhile", row->name)));
}

bool
model_has(const ModelRow *row, Modality modality)
{
	return row->dimensions[modality] > 0;
}

/* Hidden units of the network that has more of them: what one row's activations take. */
int
model_most_units(const ModelRow *row)
{
	return Max(network_units(&row->hidden[MODALITY_IMAGE]), network_units(&row->hidden[MODALITY_TEXT]));
}

static size_t
side_parameters(const ModelRow *row, int side)
{
	return model_has(row, side) ?
		network_parameters(row->dimensions[side], &row->hidden[side], row->bits) : 0;
}

/* Number of stored floats. */
size_t
model_floats(const ModelRow *row)
{
	size_t		count = 0;
	int			side;

	for (side = 0; side < 2; side++)
		count += side_parameters(row, side) + 2 * (size_t) row->scales[side];
	return count;
}

/* Lay networks, shifts and scales out over floats [model_floats(row)]. */
void
model_layout(const ModelRow *row, float *floats, const Surroundings *surroundings,
			 ModelWeights *weights)
{
	float	   *at = floats;
	int			side;

	weights->floats = floats;
	weights->count = model_floats(row);
	for (side = 0; side < 2; side++)
	{
		if (model_has(row, side))
			network_layout(&weights->network[side], row->dimensions[side], &row->hidden[side],
						   row->bits, at, surroundings);
		else
			memset(&weights->network[side], 0, sizeof(Network));
		at += side_parameters(row, side);
	}
	for (side = 0; side < 2; side++)
	{
		weights->shift[side] = at;
		weights->scale[side] = at + row->scales[side];
		at += 2 * row->scales[side];
	}
}

/* Floats are stored little-endian. */
static void
copy_floats(char *to, const char *from, size_t count)
{
#ifdef WORDS_BIGENDIAN
	size_t		i;

	for (i = 0; i < count; i++)
	{
		uint32		word;

		memcpy(&word, from + 4 * i, 4);
		word = pg_bswap32(word);
		memcpy(to + 4 * i, &word, 4);
	}
#else
	memcpy(to, from, count * sizeof(float));
#endif
}

#define PART_FLOATS (MODEL_PART_BYTES / sizeof(float))

/* Store floats in a table of parts: xmhash_model_part or xmhash_checkpoint_part. */
void
model_write_parts(const ModelTables *tables, const char *table, const pg_uuid_t *id,
				  const float *floats, size_t count)
{
	Oid			types[3] = {UUIDOID, INT4OID, BYTEAOID};
	Datum		values[3];
	char	   *query = psprintf("INSERT INTO %%1$s.%s (model, part, data) VALUES ($1, $2, $3)", table);
	bytea	   *data = palloc(VARHDRSZ + Min(count, PART_FLOATS) * sizeof(float));
	size_t		from;
	int			part = 0;

	for (from = 0; from < count; from += PART_FLOATS)
	{
		size_t		some = Min(count - from, PART_FLOATS);

		CHECK_FOR_INTERRUPTS();
		SET_VARSIZE(data, VARHDRSZ + some * sizeof(float));
		copy_floats(VARDATA(data), (const char *) (floats + from), some);
		values[0] = UUIDPGetDatum(id);
		values[1] = Int32GetDatum(part++);
		values[2] = PointerGetDatum(data);
		model_execute(tables, query, false, 3, types, values, NULL);
	}
	pfree(data);
	pfree(query);
}

/* The bytes of all parts, before anything is allocated for them. */
void
model_check_parts(const ModelTables *tables, const char *table, const char *name,
				  const pg_uuid_t *id, size_t count)
{
	Oid			type = UUIDOID;
	Datum		value = UUIDPGetDatum(id);
	char	   *query = psprintf("SELECT COALESCE(pg_catalog.sum(pg_catalog.octet_length(p.data)), 0)::pg_catalog.int8 "
								 "FROM %%1$s.%s AS p WHERE p.model OPERATOR(pg_catalog.=) $1", table);
	int64		bytes;

	model_execute(tables, query, true, 1, &type, &value, NULL);
	bytes = get_bigint(1, 0);
	if (bytes != (int64) (count * sizeof(float)))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("model \"%s\" has " INT64_FORMAT " bytes in table %s, expected %zu",
						name, bytes, table, count * sizeof(float))));
	SPI_freetuptable(SPI_tuptable);
}

void
model_read_parts(const ModelTables *tables, const char *table, const char *name,
				 const pg_uuid_t *id, float *floats, size_t count)
{
	Oid			types[2] = {UUIDOID, INT4OID};
	Datum		values[2];
	char	   *query = psprintf("SELECT p.data FROM %%1$s.%s AS p WHERE p.model OPERATOR(pg_catalog.=) $1 "
								 "AND p.part OPERATOR(pg_catalog.=) $2", table);
	size_t		from;
	int			part = 0;

	for (from = 0; from < count; from += PART_FLOATS)
	{
		size_t		some = Min(count - from, PART_FLOATS);
		bool		isnull;
		Datum		value = 0;
		bytea	   *data = NULL;

		CHECK_FOR_INTERRUPTS();
		values[0] = UUIDPGetDatum(id);
		values[1] = Int32GetDatum(part);
		if (model_execute(tables, query, true, 2, types, values, NULL) == 1)
		{
			value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
			data = DatumGetByteaP(value);
		}
		if (data == NULL || VARSIZE(data) - VARHDRSZ != some * sizeof(float))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("part %d of model \"%s\" in table %s has %d bytes, expected %zu",
							part, name, table, data != NULL ? (int) (VARSIZE(data) - VARHDRSZ) : 0,
							some * sizeof(float))));
		copy_floats((char *) (floats + from), VARDATA(data), some);
		if ((Pointer) data != DatumGetPointer(value))
			pfree(data);
		SPI_freetuptable(SPI_tuptable);
		part++;
	}
	pfree(query);
}

/* The type of a user's column, or an error that names it. */
Oid
model_column_type(Oid relation, const char *relation_name, const char *name)
{
	AttrNumber	number = get_attnum(relation, name);

	if (number == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist", name, relation_name)));
	return get_atttype(relation, number);
}
