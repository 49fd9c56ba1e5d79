/*
 * model_admin.c: drop and rename models.
 */
#include "model.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"

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
