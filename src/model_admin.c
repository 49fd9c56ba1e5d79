/*
 * model_admin.c: drop and rename models.
 */
#include "model.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/*
 * The model, with its name locked for the transaction.  It is looked up before
 * the lock is asked for, so that nobody can block another role's model, and
 * again with it, so that it cannot go or change meanwhile.
 */
static void
find_and_lock(const ModelTables *tables, const char *name, ModelRow *row)
{
	model_find_or_fail(tables, name, row);
	model_lock_name(tables, name, false);
	model_find_or_fail(tables, name, row);
}

XMHASH_FUNCTION(xmhash_drop_model);

Datum
xmhash_drop_model(PG_FUNCTION_ARGS)
{
	ModelTables tables;
	ModelRow	row;
	Oid			type = UUIDOID;
	Datum		id;

	PreventCommandIfReadOnly("xmhash_drop_model()");
	SPI_connect();
	model_tables(fcinfo->flinfo->fn_oid, &tables);
	find_and_lock(&tables, text_to_cstring(PG_GETARG_TEXT_PP(0)), &row);
	id = UUIDPGetDatum(&row.id);
	model_execute(&tables, "DELETE FROM %1$s.xmhash_model WHERE id OPERATOR(pg_catalog.=) $1",
				  false, 1, &type, &id, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * Trigger after a row of xmhash_model is deleted, or all by TRUNCATE: remove
 * what belongs to it.  Anybody may make such a trigger on a table of his own,
 * so it goes by the table that it is on.
 */
XMHASH_FUNCTION(xmhash_model_removed);

Datum
xmhash_model_removed(PG_FUNCTION_ARGS)
{
	static const char *const dependents[] = {"xmhash_model_part", "xmhash_training_log",
	"xmhash_checkpoint", "xmhash_checkpoint_part"};
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	ModelTables tables;
	Oid			type = UUIDOID;
	Datum		id = (Datum) 0;
	bool		one;
	bool		isnull;
	int			i;

	model_tables(fcinfo->flinfo->fn_oid, &tables);
	if (!CALLED_AS_TRIGGER(fcinfo) || RelationGetRelid(trigger->tg_relation) != tables.relation)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"xmhash_model_removed\" was not called as a trigger of the table xmhash_model")));
	SPI_connect();
	one = TRIGGER_FIRED_FOR_ROW(trigger->tg_event);
	if (one)
		id = SPI_getbinval(trigger->tg_trigtuple, RelationGetDescr(trigger->tg_relation), 1, &isnull);
	for (i = 0; i < (int) lengthof(dependents); i++)
		model_execute(&tables, psprintf("DELETE FROM %%1$s.%s%s", dependents[i],
										one ? " WHERE model OPERATOR(pg_catalog.=) $1" : ""),
					  false, one ? 1 : 0, &type, &id, NULL);
	SPI_finish();
	return PointerGetDatum(NULL);
}

/*
 * That a role owns models is noted as a privilege of it on the trigger
 * function, once a model: so DROP ROLE refuses to drop it, and no other role
 * can get its number while its models are there.  DROP OWNED BY finds nothing
 * to revoke and changes nothing.
 */
static void
note_owner(Oid function, Oid owner, bool owns)
{
	Oid		   *members = palloc(sizeof(Oid));	/* the callee frees it */

	*members = owner;
	updateAclDependencies(ProcedureRelationId, function, 0, InvalidOid,
						  owns ? 0 : 1, owns ? NULL : members,
						  owns ? 1 : 0, owns ? members : NULL);
}

/*
 * One model fewer: all notes of its owner go, and one comes back if models are
 * left.  What others add meanwhile is either not seen by the first step, and
 * stays, or seen by the second.  The lock makes removals wait for each other,
 * not for additions, which may belong to a training of hours.
 */
static void
forget_owner(Oid function, const ModelTables *tables, Oid owner)
{
	Oid			type = OIDOID;
	Datum		value = ObjectIdGetDatum(owner);

	if (!SearchSysCacheExists1(AUTHOID, value))
		return;
	LockSharedObject(AuthIdRelationId, owner, 0, ShareUpdateExclusiveLock);
	note_owner(function, owner, false);
	CommandCounterIncrement();
	SPI_connect();
	if (model_execute(tables, "SELECT FROM %1$s.xmhash_model AS m WHERE m.owner OPERATOR(pg_catalog.=) $1 LIMIT 1",
					  true, 1, &type, &value, NULL) > 0)
		note_owner(function, owner, true);
	SPI_finish();
}

static Oid
row_owner(const TriggerData *trigger, HeapTuple tuple)
{
	TupleDesc	descriptor = RelationGetDescr(trigger->tg_relation);
	bool		isnull;

	return DatumGetObjectId(SPI_getbinval(tuple, descriptor, SPI_fnumber(descriptor, "owner"), &isnull));
}

/* Before TRUNCATE: after it nobody knows whose models there were. */
static void
forget_owners(Oid function, const ModelTables *tables)
{
	uint64		owners;
	uint64		i;
	bool		isnull;

	SPI_connect();
	owners = model_execute(tables, "SELECT DISTINCT m.owner FROM %1$s.xmhash_model AS m", true, 0, NULL, NULL, NULL);
	for (i = 0; i < owners; i++)
		note_owner(function, DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull)),
				   false);
	SPI_finish();
}

XMHASH_FUNCTION(xmhash_model_ownership);

/* Trigger on xmhash_model, checked like the one above. */
Datum
xmhash_model_ownership(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Oid			function = fcinfo->flinfo->fn_oid;
	ModelTables tables;

	model_tables(function, &tables);
	if (!CALLED_AS_TRIGGER(fcinfo) || RelationGetRelid(trigger->tg_relation) != tables.relation)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"xmhash_model_ownership\" was not called as a trigger of the table xmhash_model")));
	if (!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		forget_owners(function, &tables);
	else if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		note_owner(function, row_owner(trigger, trigger->tg_trigtuple), true);
	else
	{
		Oid			before = row_owner(trigger, trigger->tg_trigtuple);
		Oid			after = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
			row_owner(trigger, trigger->tg_newtuple) : InvalidOid;

		if (OidIsValid(after) && after != before)
			note_owner(function, after, true);
		if (after != before)
			forget_owner(function, &tables, before);
	}
	return PointerGetDatum(NULL);
}

XMHASH_FUNCTION(xmhash_rename_model);

Datum
xmhash_rename_model(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *new_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	ModelTables tables;
	ModelRow	row;
	Oid			types[2] = {UUIDOID, TEXTOID};
	Datum		values[2];

	PreventCommandIfReadOnly("xmhash_rename_model()");
	SPI_connect();
	model_tables(fcinfo->flinfo->fn_oid, &tables);
	find_and_lock(&tables, name, &row);
	if (strcmp(name, new_name) != 0)
	{
		model_check_name(new_name);
		model_lock_name(&tables, new_name, false);
		model_check_name_free(&tables, new_name);
		values[0] = UUIDPGetDatum(&row.id);
		values[1] = CStringGetTextDatum(new_name);
		model_execute(&tables, "UPDATE %1$s.xmhash_model SET name = $2 "
					  "WHERE id OPERATOR(pg_catalog.=) $1", false, 2, types, values, NULL);
	}
	SPI_finish();
	PG_RETURN_VOID();
}
