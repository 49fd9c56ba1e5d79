/*
 * model/table.c: which tables are models, who may use them, and how they are
 * made.
 *
 * A model is an ordinary table of its owner's, made OF the extension's type
 * xmhash_model: by this it is known, whatever it is called and wherever it
 * lies.  SELECT on it is the right to use it.  Its owner can put anything in
 * it, and around it: so rows are read and written here without the executor,
 * where nothing of the owner's would run, neither trigger, rule, expression
 * nor policy.  A table that has such things is not trained into.
 *
 * Sessions remember models.  Rows that are changed by hand, by COPY or by
 * replication are made known to them by a trigger, as an invalidation of the
 * table's entry in the relation cache: that reaches standbys too, and costs
 * those who encode nothing.  A table without the trigger is looked at by
 * every call.
 */
#include "model/model.h"

#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "server/lookup.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

const char *const modality_name[2] = {"image", "text"};

/* Smaller tables are read whole, which is faster than to open an index. */
#define FEW_BLOCKS 4

Oid
model_type(Oid function)
{
	return lookup_type(function, "xmhash_model");
}

/* For messages. */
char *
model_name(Oid model)
{
	char	   *name = get_rel_name(model);

	return name != NULL ? name : psprintf("%u", model);
}

static bool
table_is_model(Form_pg_class form, Oid type)
{
	return form->relkind == RELKIND_RELATION && form->reloftype == type;
}

/* Is there a table of this number, and is it a model? */
bool
model_is_table(Oid function, Oid model)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(model));
	bool		result = false;

	if (HeapTupleIsValid(tuple))
	{
		result = table_is_model((Form_pg_class) GETSTRUCT(tuple), model_type(function));
		ReleaseSysCache(tuple);
	}
	return result;
}

static void
table_fail_missing(Oid model)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation with OID %u does not exist", model),
			 errhint("An OID is good on one server only: give the name of the model.")));
}

static void
table_check_is_model(Oid function, Relation relation)
{
	if (!table_is_model(relation->rd_rel, model_type(function)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is no model", RelationGetRelationName(relation)),
				 errdetail("A model is a table of type xmhash_model; xmhash_train() and xmhash_import_model() make one."),
				 errhint("The view xmhash_models lists the models that you can use.")));
}

/*
 * The primary key, if it finds rows by part and number: then reading the rows
 * of a part need not read those of the others.
 */
static Oid
table_find_index(const ModelTable *table)
{
	Relation	index;
	Form_pg_index form;
	Oid			result = InvalidOid;
	List	   *indexes;

	if (RelationGetNumberOfBlocks(table->relation) <= FEW_BLOCKS)
		return InvalidOid;
	indexes = RelationGetIndexList(table->relation);
	list_free(indexes);
	if (!OidIsValid(table->relation->rd_pkindex))
		return InvalidOid;
	index = relation_open(table->relation->rd_pkindex, AccessShareLock);
	form = index->rd_index;
	if (index->rd_rel->relam == BTREE_AM_OID && form->indisvalid && form->indisready &&
		form->indisunique && form->indimmediate && form->indnkeyatts == 2 &&
		form->indkey.values[0] == table->part && form->indkey.values[1] == table->number &&
		index->rd_opfamily[0] == TEXT_BTREE_FAM_OID && index->rd_opfamily[1] == INTEGER_BTREE_FAM_OID &&
		index->rd_indcollation[0] == C_COLLATION_OID)
		result = RelationGetRelid(index);
	relation_close(index, AccessShareLock);
	return result;
}

/* Numbers of the columns: that the table is of the type leaves room for dropped ones before them. */
static AttrNumber
table_find_column(Relation relation, const char *name, Oid type)
{
	TupleDesc	descriptor = RelationGetDescr(relation);
	int			i;

	for (i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0 &&
			attribute->atttypid == type)
			return attribute->attnum;
	}
	elog(ERROR, "table \"%s\" has no column \"%s\"", RelationGetRelationName(relation), name);
}

XMHASH_FUNCTION(xmhash_model_changed);

Datum
xmhash_model_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("xmhash_model_changed must be called as a trigger")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	PG_RETURN_POINTER(NULL);
}

static bool
table_is_announcing_trigger(Oid function, const Trigger *trigger)
{
	return trigger->tgfoid == GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("xmhash_model_changed"),
											  PointerGetDatum(buildoidvector(NULL, 0)),
											  ObjectIdGetDatum(get_func_namespace(function)));
}

/* Has the table the trigger, for all changes of rows, whoever makes them? */
static bool
table_announces_changes(Oid function, Relation relation)
{
	const TriggerDesc *triggers = relation->trigdesc;
	int			i;

	for (i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgtype == (TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE |
								TRIGGER_TYPE_DELETE) &&
			trigger->tgenabled == TRIGGER_FIRES_ALWAYS && trigger->tgnattr == 0 && trigger->tgqual == NULL &&
			!trigger->tgdeferrable && table_is_announcing_trigger(function, trigger))
			return true;
	}
	return false;
}

static void
table_open_columns(Oid function, Relation relation, LOCKMODE lock, Snapshot snapshot, ModelTable *table)
{
	table->relation = relation;
	table->lock = lock;
	table->part = table_find_column(relation, "part", TEXTOID);
	table->number = table_find_column(relation, "number", INT4OID);
	table->info = table_find_column(relation, "info", JSONBOID);
	table->data = table_find_column(relation, "data", BYTEAOID);
	table->index = table_find_index(table);
	table->announces = table_announces_changes(function, relation);
	table->snapshot = RegisterSnapshot(snapshot);
}

/* A standby has an unlogged table's name, but not its file. */
static bool
table_is_on_primary_only(Relation relation)
{
	return relation->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED && RecoveryInProgress();
}

/* Temporary tables are in the memory of their session's leading process only. */
static void
table_check_reachable(Relation relation)
{
	if (table_is_on_primary_only(relation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("model \"%s\" is an unlogged table, which a standby does not have", RelationGetRelationName(relation))));
	if (RELATION_IS_OTHER_TEMP(relation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("model \"%s\" is a temporary table of another session", RelationGetRelationName(relation))));
	if (RelationUsesLocalBuffers(relation) && IsInParallelMode())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("model \"%s\" is a temporary table, which a parallel query cannot read", RelationGetRelationName(relation)),
				 errhint("SET max_parallel_workers_per_gather = 0.")));
}

/*
 * Whoever may SELECT, all of it, may use a model.  It is read by the latest
 * snapshot, as catalog entries are: what is found is cached beyond this query,
 * and an older snapshot could bring back what has been replaced.  In a
 * parallel query there is only the query's own.
 */
void
model_open(Oid function, Oid model, ModelTable *table)
{
	Relation	relation = try_relation_open(model, AccessShareLock);

	if (relation == NULL)
		table_fail_missing(model);
	if (pg_class_aclcheck(model, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(relation->rd_rel->relkind),
					   RelationGetRelationName(relation));
	table_check_is_model(function, relation);
	table_check_reachable(relation);
	if (check_enable_rls(model, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("model \"%s\" is under row-level security for role \"%s\"",
						RelationGetRelationName(relation), GetUserNameFromId(GetUserId(), false)),
				 errdetail("A model is used as a whole, or not at all.")));
	table_open_columns(function, relation, AccessShareLock, IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot(), table);
}

/*
 * For views, which show what they can: false if there is no such model, the
 * user may not use it, or somebody holds it locked.  A stronger lock than for
 * reading: it keeps out a REINDEX of the owner's, which would let readers into
 * the table and then hold them up at its indexes, or at those of its TOAST.
 */
bool
model_open_quietly(Oid function, Oid model, ModelTable *table)
{
	Relation	relation;
	bool		missing = false;

	if (!model_is_table(function, model) || !ConditionalLockRelationOid(model, RowExclusiveLock))
		return false;
	relation = try_relation_open(model, NoLock);
	if (relation == NULL)
	{
		UnlockRelationOid(model, RowExclusiveLock);
		return false;
	}
	if (table_is_model(relation->rd_rel, model_type(function)) && !RELATION_IS_OTHER_TEMP(relation) &&
		!table_is_on_primary_only(relation) &&
		!(RelationUsesLocalBuffers(relation) && IsInParallelMode()) &&
		pg_class_aclcheck_ext(model, GetUserId(), ACL_SELECT, &missing) == ACLCHECK_OK &&
		check_enable_rls(model, InvalidOid, true) != RLS_ENABLED)
	{
		table_open_columns(function, relation, RowExclusiveLock, GetActiveSnapshot(), table);
		return true;
	}
	relation_close(relation, RowExclusiveLock);
	return false;
}

/* The lock stays until the transaction ends, unless nothing was changed. */
void
model_close(ModelTable *table)
{
	UnregisterSnapshot(table->snapshot);
	relation_close(table->relation, table->lock);
}

void
model_check_owner(Oid model)
{
	char	   *name = get_rel_name(model);

	if (name == NULL)
		table_fail_missing(model);
	if (!relation_ownercheck(model, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(model)), name);
}

static void
table_refuse_to_write(Relation relation, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot train model \"%s\": its table has %s", RelationGetRelationName(relation), what),
			 errdetail("A model that is being trained is a plain table, since nothing but the training runs while it is written.")));
}

/* Nothing of the owner's may be left out when rows are written below the executor. */
static void
table_check_plain(Oid function, const ModelTable *table)
{
	Relation	relation = table->relation;
	TupleDesc	descriptor = RelationGetDescr(relation);
	List	   *indexes = RelationGetIndexList(relation);
	ListCell   *cell;
	int			i;

	if (relation->rd_rel->relam != HEAP_TABLE_AM_OID)
		table_refuse_to_write(relation, "another access method than heap");
	for (i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		/* What it would announce, the training does. */
		if (!table_is_announcing_trigger(function, &relation->trigdesc->triggers[i]))
			table_refuse_to_write(relation, "triggers or foreign keys");
	}
	if (relation->rd_rules != NULL)
		table_refuse_to_write(relation, "rules");
	if (descriptor->constr != NULL && descriptor->constr->num_check > 0)
		table_refuse_to_write(relation, "CHECK constraints");
	for (i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		if (attribute->attisdropped)
			continue;
		if (attribute->attgenerated != '\0' || attribute->attidentity != '\0')
			table_refuse_to_write(relation, "generated columns");
		/* Readers believe it, and look for a value where a row has none. */
		if (attribute->attnotnull && attribute->attnum != table->part && attribute->attnum != table->number)
			table_refuse_to_write(relation, "columns info or data that are NOT NULL");
	}
	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);
		bool		plain = index->rd_index->indimmediate && !index->rd_index->indisexclusion &&
		index->rd_index->indisready &&
		RelationGetIndexExpressions(index) == NIL && RelationGetIndexPredicate(index) == NIL;

		index_close(index, AccessShareLock);
		if (!plain)
			table_refuse_to_write(relation, "an index on expressions, on some rows, or that is checked later");
	}
	list_free(indexes);
	CheckCmdReplicaIdentity(relation, CMD_UPDATE);
	CheckCmdReplicaIdentity(relation, CMD_DELETE);
}

/* To change it, with model_close() after it; the owner's alone. */
void
model_open_own(Oid function, Oid model, ModelTable *table)
{
	Relation	relation;

	model_check_owner(model);
	relation = try_relation_open(model, RowExclusiveLock);
	if (relation == NULL)
		table_fail_missing(model);
	relation_close(relation, NoLock);
	model_open(function, model, table);
	table_check_plain(function, table);
}

/*
 * A name, as CREATE TABLE would take it; that it is free, and that the user
 * may make a table there.
 */
void
model_find_place(text *name, ModelPlace *place)
{
	RangeVar   *range = makeRangeVarFromNameList(textToQualifiedNameList(name));
	Oid			existing;

	place->schema = RangeVarGetAndCheckCreationNamespace(range, NoLock, &existing);
	place->name = range->relname;
	if (OidIsValid(existing))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", place->name),
				 errhint("CALL xmhash_train_resume() goes on with an interrupted training, DROP TABLE drops a model.")));
}

static void
table_run(const char *command)
{
	if (SPI_execute(command, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "\"%s\" failed", command);
}

/* Make the table.  SPI must be connected. */
Oid
model_create(Oid function, const ModelPlace *place)
{
	char	   *schema = get_namespace_name(place->schema);
	char	   *extension_schema = get_namespace_name(get_func_namespace(function));
	char	   *name;
	Oid			type = model_type(function);
	Oid			columns = get_typ_typrelid(type);
	Oid			model;
	int			i;

	if (schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("the schema of model \"%s\" has been dropped meanwhile", place->name)));
	name = quote_qualified_identifier(isTempNamespace(place->schema) ? "pg_temp" : schema, place->name);
	table_run(psprintf("CREATE TABLE %s OF %s (PRIMARY KEY (part, number)) USING heap",
					   name, format_type_be_qualified(type)));
	table_run(psprintf("ALTER TABLE %s ALTER COLUMN data SET STORAGE EXTERNAL", name));
	table_run(psprintf("CREATE TRIGGER xmhash_model_changed AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION %s()",
					   name, quote_qualified_identifier(extension_schema, "xmhash_model_changed")));
	table_run(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER xmhash_model_changed", name));
	table_run(psprintf("COMMENT ON TABLE %s IS 'model of xmhash, see the view xmhash_models'", name));
	model = get_relname_relid(place->name, place->schema);
	if (!model_is_table(function, model))
		elog(ERROR, "model \"%s\" is not where it was made", place->name);
	for (i = 1; get_attname(columns, i, true) != NULL; i++)
		CreateComments(model, RelationRelationId, i, GetComment(columns, RelationRelationId, i));
	return model;
}
