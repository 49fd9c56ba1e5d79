/*
 * train/procedure.c: CALL xmhash_train() and xmhash_train_resume().
 *
 * Everything that can be wrong is found before the first epoch is trained, and
 * the model's table is made after it, so that a failure before leaves nothing.
 * Outside a transaction block every epoch ends in a commit: its row shows it
 * to others, no snapshot is held while the next one computes, and a crash
 * leaves the table with its last checkpoint.  What tells such a table from one
 * in training is a lock, which dies with the session.
 *
 * A procedure that commits can neither be SECURITY DEFINER nor set its search
 * path; so it runs with the caller's rights and path throughout.
 */
#include "train/run.h"

#include <float.h>

#include "bitcode/bitcode.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "server/core_env.h"
#include "server/lookup.h"
#include "server/procedure.h"
#include "server/role.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Arguments of xmhash_train(), in order. */
enum
{
	ARGUMENT_MODEL,
	ARGUMENT_RELATION,
	ARGUMENT_IMAGE,
	ARGUMENT_TEXT,
	ARGUMENT_BITS,
	ARGUMENT_METHOD,
	ARGUMENT_LABEL,
	ARGUMENT_OPTIONS
};

static void
procedure_check_arguments(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"model", "relation", "image_column", "text_column",
	"bits", "method", NULL, "options"};
	int			i;

	for (i = 0; i < (int) lengthof(names); i++)
	{
		if (names[i] != NULL && PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" of xmhash_train is NULL", names[i])));
	}
}

/* The relation by its OID, with a name that any search path finds. */
static void
procedure_set_relation(TrainSource *source, Oid relation)
{
	char	   *name = get_rel_name(relation);
	char		kind;

	source->relation = relation;
	source->relation_name = lookup_relation_name(relation);
	if (name == NULL || source->relation_name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	kind = get_rel_relkind(relation);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_VIEW &&
		kind != RELKIND_MATVIEW && kind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is no table or view", name)));
}

static char *
procedure_source_json(const TrainSource *source)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	json_put_string(&json, "relation", source->relation_name);
	json_put_string(&json, "image_column", NameStr(source->feature_column[MODALITY_IMAGE]));
	json_put_string(&json, "text_column", NameStr(source->feature_column[MODALITY_TEXT]));
	if (NameStr(source->label_column)[0] != '\0')
		json_put_string(&json, "label_column", NameStr(source->label_column));
	appendStringInfoChar(&json, '}');
	return json.data;
}

static void
procedure_class_names(const TrainData *data, ModelRow *row)
{
	int			i;

	row->classes = data->classes;
	row->class_names = NULL;
	if (data->classes == 0 || labels_class_name(data->labels, 0) == NULL)
		return;
	row->class_names = palloc(data->classes * sizeof(char *));
	for (i = 0; i < data->classes; i++)
		row->class_names[i] = pstrdup(labels_class_name(data->labels, i));
}

/* Whatever the method needs of the library: said before any row is read. */
static void
procedure_load_library(const TrainMethod *method)
{
	const char *missing;

	if (method->load == NULL)
		return;
	model_start_blas();
	if (!method->load(&missing))
		model_fail_blas(missing, method->name);
}

/* Read the data and make the trainer; fills what the model's row says of both. */
static void
procedure_prepare(Training *training)
{
	TrainOptions *options = &training->options;
	TrainData  *data = &training->data;
	ModelRow   *row = &training->row;
	CoreEnv		block;
	int			side;

	if (options->method->needs_labels && NameStr(training->source.label_column)[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("method \"%s\" needs a label_column", options->method->name)));
	if (options->validation_fraction > 0 && NameStr(training->source.label_column)[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"validation_fraction\" needs a label_column")));
	procedure_load_library(options->method);
	train_data_read(data, &training->source, options, training->context);
	train_data_split(data, options);
	train_data_scale(data, options);
	train_data_source(data, &training->batches);
	if (options->method->resolve != NULL)
		options->method->resolve(options, &training->batches);
	train_check_memory(training);
	model_start_blas();
	train_report_sizes(training);
	block = core_env_in_block(training->context, trainer_memory(options, &training->batches));
	training->trainer = trainer_create(options, &training->batches, &block);

	options->method->hidden_layers(options, row->hidden);
	for (side = 0; side < 2; side++)
	{
		row->dimensions[side] = data->dimensions[side];
		row->scales[side] = row->hidden[side].kernel == KERNEL_NONE ? data->scales[side] : 0;
	}
	procedure_class_names(data, row);
	model_layout(row, training->env.allocate(training->context, model_floats(row) * sizeof(float)),
				 &training->env, &training->good);
	for (side = 0; side < 2; side++)
	{
		memcpy(training->good.shift[side], data->shift[side], row->scales[side] * sizeof(float));
		memcpy(training->good.scale[side], data->scale[side], row->scales[side] * sizeof(float));
	}
	if (options->keep_best)
		training->best = training->env.allocate(training->context,
												training->good.count * sizeof(float));
}

/* A training in a context of its own; the SPI connection is made here. */
static Training *
procedure_begin(FunctionCallInfo fcinfo, const char *command)
{
	MemoryContext context;
	Training   *training;
	bool		atomic = procedure_is_atomic(fcinfo);

	PreventCommandIfReadOnly(command);
	PreventCommandDuringRecovery(command);
	SPI_connect_ext(atomic ? 0 : SPI_OPT_NONATOMIC);
	context = AllocSetContextCreate(CurrentMemoryContext, "xmhash training",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	training = palloc0(sizeof(Training));
	training->context = context;
	training->atomic = atomic;
	training->function = fcinfo->flinfo->fn_oid;
	training->env = core_env(context);
	return training;
}

static void
procedure_end(Training *training)
{
	if (!training->atomic)
		model_unlock(training->model);
	/* Which context is current depends on whether there was a commit. */
	MemoryContextSwitchTo(MemoryContextGetParent(training->context));
	MemoryContextDelete(training->context);
	SPI_finish();
}

XMHASH_FUNCTION(xmhash_train);

Datum
xmhash_train(PG_FUNCTION_ARGS)
{
	Training   *training;
	ModelRow   *row;
	int			bits;

	procedure_check_arguments(fcinfo);
	bits = PG_GETARG_INT32(ARGUMENT_BITS);
	if (bits < 1 || bits > BITCODE_MAX_BITS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a model cannot have %d bits, expected 1 to %d", bits, BITCODE_MAX_BITS)));
	training = procedure_begin(fcinfo, "xmhash_train()");
	row = &training->row;
	model_find_place(PG_GETARG_TEXT_PP(ARGUMENT_MODEL), &training->place);
	row->name = training->place.name;
	row->method = text_to_cstring(PG_GETARG_TEXT_PP(ARGUMENT_METHOD));
	row->bits = bits;
	row->status = "training";
	train_options_read(PG_GETARG_JSONB_P(ARGUMENT_OPTIONS), train_options_method(row->method), bits,
					   &training->options);
	row->options = train_options_write(&training->options);
	procedure_set_relation(&training->source, PG_GETARG_OID(ARGUMENT_RELATION));
	training->source.feature_column[MODALITY_IMAGE] = *PG_GETARG_NAME(ARGUMENT_IMAGE);
	training->source.feature_column[MODALITY_TEXT] = *PG_GETARG_NAME(ARGUMENT_TEXT);
	if (!PG_ARGISNULL(ARGUMENT_LABEL))
		training->source.label_column = *PG_GETARG_NAME(ARGUMENT_LABEL);
	row->source = procedure_source_json(&training->source);

	procedure_prepare(training);
	row->pairs = training->data.training_count + training->data.validation_count;
	row->digest = training->data.digest;
	train_commit(training);
	trainer_fit(training->trainer);
	train_run(training);
	procedure_end(training);
	PG_RETURN_VOID();
}

/* A name of the model's source, "" if it is not there. */
static char *
procedure_source_field(Jsonb *source, const char *key)
{
	char	   *field = json_as_string(json_field(&source->root, key));

	return field != NULL ? field : pstrdup("");
}

/* Where the rows of an unfinished model come from, found again by name. */
static void
procedure_restore_source(Training *training)
{
	Jsonb	   *source;
	Oid			relation;

	if (training->row.source == NULL || training->row.options == NULL || training->row.pairs < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("model \"%s\" does not say what it is trained on", training->row.name)));
	source = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(training->row.source)));
	relation = DatumGetObjectId(DirectFunctionCall1(regclassin, CStringGetDatum(procedure_source_field(source, "relation"))));
	procedure_set_relation(&training->source, relation);
	namestrcpy(&training->source.feature_column[MODALITY_IMAGE], procedure_source_field(source, "image_column"));
	namestrcpy(&training->source.feature_column[MODALITY_TEXT], procedure_source_field(source, "text_column"));
	namestrcpy(&training->source.label_column, procedure_source_field(source, "label_column"));
	train_options_read(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(training->row.options))),
					   train_options_method(training->row.method), training->row.bits, &training->options);
}

/* The rows must be the very ones that training began with. */
static void
procedure_check_same_data(const Training *training)
{
	int64		pairs = training->data.training_count + training->data.validation_count;

	if (pairs != training->row.pairs)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation %s has " INT64_FORMAT " pairs to train on, but the training of model \"%s\" began with " INT64_FORMAT,
						training->source.relation_name, pairs, training->row.name, training->row.pairs),
				 errhint("Only a training on the same rows can be resumed.")));
	if (training->data.digest != training->row.digest)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the rows of relation %s have changed since the training of model \"%s\" began",
						training->source.relation_name, training->row.name),
				 errhint("Only a training on the same rows can be resumed.")));
}

/*
 * What is read is named by the model's rows, so by its owner: then he is whose
 * functions run in a view, not whoever resumes his training.
 */
static void
procedure_read_again(Training *training)
{
	bool		trusted = role_is_trusted(training->owner);
	RoleSwitch	role;

	if (!trusted)
		role_switch(&role, training->owner);
	procedure_restore_source(training);
	procedure_prepare(training);
	if (!trusted)
		role_restore(&role);
	procedure_check_same_data(training);
}

/* The row says what is there now, without the epochs that will be trained again. */
static void
procedure_restore_progress(Training *training, const ModelTable *table)
{
	ModelRow   *row = &training->row;
	ModelScan	scan;
	double		seconds;

	row->epochs_done = training->epochs_done;
	row->seconds = 0;
	model_scan_begin(&scan, table, MODEL_PART_EPOCH, MODEL_ANY_NUMBER);
	while (model_scan_next(&scan))
	{
		Jsonb	   *info = scan.number <= row->epochs_done ? model_scan_info(&scan) : NULL;

		if (info == NULL)
			continue;
		if (json_as_number(json_field(&info->root, "seconds"), 0, 1e9, &seconds))
			row->seconds += seconds;
		if (scan.number == row->epochs_done)
			json_as_number(json_field(&info->root, "loss"), -DBL_MAX, DBL_MAX, &row->loss);
		pfree(info);
	}
	model_scan_end(&scan);
	model_update(table, row);
}

XMHASH_FUNCTION(xmhash_train_resume);

Datum
xmhash_train_resume(PG_FUNCTION_ARGS)
{
	Training   *training;
	ModelRow   *row;
	ModelTable	table;
	bool		loaded;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"model\" of xmhash_train_resume is NULL")));
	training = procedure_begin(fcinfo, "xmhash_train_resume()");
	training->model = PG_GETARG_OID(0);
	row = &training->row;

	/* The lock comes first: behind it, a DROP may be waiting for the table already. */
	if (!model_is_table(training->function, training->model))
	{
		model_open(training->function, training->model, &table);
		model_close(&table);
	}
	model_check_owner(training->model);
	model_lock(training->model, !training->atomic);
	model_open_own(training->function, training->model, &table);
	model_find(&table, row);
	training->owner = table.relation->rd_rel->relowner;
	model_close(&table);
	if (strcmp(row->status, "training") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" is %s already", row->name, row->status)));
	procedure_read_again(training);
	model_open_own(training->function, training->model, &table);
	loaded = train_checkpoint_load(training, &table);
	procedure_restore_progress(training, &table);
	model_close(&table);
	train_commit(training);
	if (!loaded)
		trainer_fit(training->trainer);
	if (xmhash_progress)
		ereport(INFO,
				(errmsg("resuming after epoch %d of %d", training->epochs_done,
						train_epochs(&training->options))));
	train_run(training);
	procedure_end(training);
	PG_RETURN_VOID();
}
