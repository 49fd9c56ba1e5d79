/*
 * model/trigger.c: keep a code column current, row by row.
 *
 * Unlike a generated column, a trigger can be without its model for a while:
 * where a schema is restored before the data, or rows are replicated, the
 * codes that rows bring are kept until the model's own rows are there.
 */
#include "model/model.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "server/lookup.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/varlena.h"

/* What the trigger's arguments say. */
typedef struct TriggerArguments
{
	const char *model;
	Modality	modality;
	int			features;		/* column numbers */
	int			code;
	Oid			features_type;
} TriggerArguments;

static int
trigger_find_column(const TriggerData *trigger, const char *name)
{
	int			number = SPI_fnumber(RelationGetDescr(trigger->tg_relation), name);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, RelationGetRelationName(trigger->tg_relation)),
				 errdetail("Trigger \"%s\" names it.", trigger->tg_trigger->tgname)));
	return number;
}

static void
trigger_read_arguments(FunctionCallInfo fcinfo, const TriggerData *trigger, TriggerArguments *arguments)
{
	const Trigger *definition = trigger->tg_trigger;
	Oid			type;

	if (definition->tgnargs != 4)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" has %d arguments, expected 4", definition->tgname, definition->tgnargs),
				 errhint("They are the model, 'image' or 'text', the features' column and the code's column.")));
	arguments->model = definition->tgargs[0];
	if (strcmp(definition->tgargs[1], "image") == 0)
		arguments->modality = MODALITY_IMAGE;
	else if (strcmp(definition->tgargs[1], "text") == 0)
		arguments->modality = MODALITY_TEXT;
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trigger \"%s\" has the second argument \"%s\", expected \"image\" or \"text\"",
						definition->tgname, definition->tgargs[1])));
	arguments->features = trigger_find_column(trigger, definition->tgargs[2]);
	arguments->code = trigger_find_column(trigger, definition->tgargs[3]);
	arguments->features_type = SPI_gettypeid(RelationGetDescr(trigger->tg_relation), arguments->features);
	type = SPI_gettypeid(RelationGetDescr(trigger->tg_relation), arguments->code);
	if (getBaseType(type) != lookup_type(fcinfo->flinfo->fn_oid, "bitcode"))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation \"%s\" is of type %s, expected bitcode",
						definition->tgargs[3], RelationGetRelationName(trigger->tg_relation),
						format_type_be(type))));
}

/* Features of another type than real[], by the cast to it. */
static Datum
trigger_cast_features(Datum value, Oid type)
{
	Datum		result;
	bool		isnull;

	if (getBaseType(type) == FLOAT4ARRAYOID)
		return value;
	if (SPI_execute_with_args("SELECT $1::pg_catalog.float4[]", 1, &type, &value, NULL, true, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not cast features");
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return isnull ? (Datum) 0 : result;
}

/*
 * What an assignment by SQL would check: the length that the column's type
 * asks for, and the constraints of a domain, for a NULL too.
 */
static void
trigger_check_code(const TriggerData *trigger, int column, Datum code, bool isnull)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(trigger->tg_relation), column - 1);
	int32		typmod = attribute->atttypmod;
	Oid			base = getBaseTypeAndTypmod(attribute->atttypid, &typmod);

	if (!isnull)
		bitcode_check_typmod(BITCODE_BITS((Bitcode *) DatumGetPointer(code)), typmod, NULL);
	if (base != attribute->atttypid)
		domain_check(code, isnull, attribute->atttypid, NULL, CurrentMemoryContext);
}

/* What a trigger remembers of its statement. */
typedef struct TriggerCall
{
	ModelCall	call;
	Oid			model;			/* once found */
	bool		warned;
} TriggerCall;

/*
 * The model by its name.  One without a schema is looked for beside the
 * trigger's table first: so whoever writes a row cannot put another model
 * before it, and no search path is needed.
 */
static Oid
trigger_find_model(const TriggerData *trigger, const char *name)
{
	RangeVar   *range = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	Oid			model = InvalidOid;

	if (range->schemaname == NULL)
		model = get_relname_relid(range->relname, RelationGetNamespace(trigger->tg_relation));
	if (!OidIsValid(model))
		model = RangeVarGetRelid(range, NoLock, true);
	return model;
}

static bool
trigger_is_same(const TriggerData *trigger, int column, HeapTuple a, HeapTuple b)
{
	TupleDesc	descriptor = RelationGetDescr(trigger->tg_relation);
	Form_pg_attribute attribute = TupleDescAttr(descriptor, column - 1);
	bool		a_null;
	bool		b_null;
	Datum		a_value = heap_getattr(a, column, descriptor, &a_null);
	Datum		b_value = heap_getattr(b, column, descriptor, &b_null);

	if (a_null || b_null)
		return a_null && b_null;
	return datum_image_eq(a_value, b_value, attribute->attbyval, attribute->attlen);
}

/* Does the row have a code that was made for its features elsewhere? */
static bool
trigger_brings_code(const TriggerData *trigger, const TriggerArguments *arguments)
{
	bool		isnull;

	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		heap_getattr(trigger->tg_newtuple, arguments->code, RelationGetDescr(trigger->tg_relation), &isnull);
		return !isnull && (!trigger_is_same(trigger, arguments->code, trigger->tg_trigtuple, trigger->tg_newtuple) ||
						   trigger_is_same(trigger, arguments->features, trigger->tg_trigtuple, trigger->tg_newtuple));
	}
	heap_getattr(trigger->tg_trigtuple, arguments->code, RelationGetDescr(trigger->tg_relation), &isnull);
	return !isnull;
}

/*
 * A model that is not there, or has no rows yet, leaves a code that the row
 * brings as it is, with a warning once a statement.
 */
static bool
trigger_keeps_code(FunctionCallInfo fcinfo, const TriggerData *trigger, const TriggerArguments *arguments,
				   TriggerCall *call)
{
	Oid			model = call->model;
	ModelTable	table;
	ModelScan	scan;
	bool		empty;

	if (!trigger_brings_code(trigger, arguments))
		return false;
	if (OidIsValid(model))
	{
		if (call->call.oid == model && call->call.generation != 0)
			return false;		/* it was there a moment ago */
		model_open(fcinfo->flinfo->fn_oid, model, &table);
		model_scan_begin(&scan, &table, MODEL_PART_MODEL, 0);
		empty = !model_scan_next(&scan);
		model_scan_end(&scan);
		model_close(&table);
		if (!empty)
			return false;
	}
	if (!call->warned)
		ereport(WARNING,
				(errmsg("model \"%s\" %s: codes that rows of \"%s\" bring are kept as they are", arguments->model,
						OidIsValid(model) ? "is empty" : "does not exist", RelationGetRelationName(trigger->tg_relation)),
				 errdetail("Trigger \"%s\" names it.", trigger->tg_trigger->tgname)));
	call->warned = true;
	return true;
}

XMHASH_FUNCTION(xmhash_encode_trigger);

Datum
xmhash_encode_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TriggerArguments arguments;
	TriggerCall *call = fcinfo->flinfo->fn_extra;
	HeapTuple	tuple;
	Datum		value;
	Datum		code = (Datum) 0;
	bool		isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("xmhash_encode_trigger must be a trigger BEFORE INSERT OR UPDATE FOR EACH ROW")));
	if (call == NULL)
		call = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(TriggerCall));
	trigger_read_arguments(fcinfo, trigger, &arguments);
	tuple = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	value = heap_getattr(tuple, arguments.features, RelationGetDescr(trigger->tg_relation), &isnull);
	if (!isnull)
	{
		bool		connected = getBaseType(arguments.features_type) != FLOAT4ARRAYOID;

		if (!OidIsValid(call->model))
			call->model = trigger_find_model(trigger, arguments.model);
		if (trigger_keeps_code(fcinfo, trigger, &arguments, call))
			return PointerGetDatum(tuple);
		if (!OidIsValid(call->model))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("model \"%s\" does not exist", arguments.model),
					 errdetail("Trigger \"%s\" names it.", trigger->tg_trigger->tgname),
					 errhint("Where rows are on several servers, each needs the model: by logical replication of its table, "
							 "or by xmhash_export_model() and xmhash_import_model().")));
		if (connected)
		{
			SPI_connect();
			value = trigger_cast_features(value, arguments.features_type);
			isnull = value == (Datum) 0;
			if (!isnull)
				value = SPI_datumTransfer(value, false, -1);
			SPI_finish();
		}
		if (!isnull)
			code = PointerGetDatum(model_encode(model_cache_find(fcinfo, &call->call, call->model),
												arguments.modality, DatumGetArrayTypeP(value)));
	}
	trigger_check_code(trigger, arguments.code, code, isnull);
	tuple = heap_modify_tuple_by_cols(tuple, RelationGetDescr(trigger->tg_relation), 1,
									  &arguments.code, &code, &isnull);
	return PointerGetDatum(tuple);
}
