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
#include <math.h>

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "bitcode/bitcode.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "server/role.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

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
check_not_null(FunctionCallInfo fcinfo)
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
set_relation(TrainSource *source, Oid relation)
{
	char	   *name = get_rel_name(relation);
	char		kind;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	kind = get_rel_relkind(relation);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_VIEW &&
		kind != RELKIND_MATVIEW && kind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is no table or view", name)));
	source->relation = relation;
	source->relation_name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), name);
}

/* Commit, unless within a transaction block. */
void
train_commit(Training *training)
{
	if (!training->atomic)
		SPI_commit();
}

static void
add_json(StringInfo json, const char *key, const char *value)
{
	if (value[0] == '\0')
		return;
	appendStringInfo(json, "%s\"%s\": ", json->len > 0 ? ", " : "{", key);
	escape_json(json, value);
}

static char *
source_to_json(const TrainSource *source)
{
	StringInfoData json;

	initStringInfo(&json);
	add_json(&json, "relation", source->relation_name);
	add_json(&json, "image_column", NameStr(source->feature_column[MODALITY_IMAGE]));
	add_json(&json, "text_column", NameStr(source->feature_column[MODALITY_TEXT]));
	add_json(&json, "label_column", NameStr(source->label_column));
	appendStringInfoChar(&json, '}');
	return json.data;
}

static void
get_class_names(const TrainData *data, ModelRow *row)
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

/*
 * Bytes that a training takes beside its rows: the trainer's, the two copies
 * of the weights that are kept, a batch, and a checkpoint while it is written.
 */
static double
memory_needed(const Training *training)
{
	const TrainOptions *options = &training->options;
	const TrainData *data = &training->data;
	double		batch = options->batch_size;
	HiddenLayers hidden[2];
	double		weights = 0;
	double		state = trainer_state_floats(options, &training->batches);
	double		bytes = trainer_memory(options, &training->batches);
	int			side;

	options->method->hidden_layers(options, hidden);
	for (side = 0; side < 2; side++)
	{
		weights += network_parameters(data->dimensions[side], &hidden[side], options->bits) + 2.0 * data->scales[side];
		bytes += batch * data->dimensions[side] * sizeof(float);
	}
	if (options->keep_best)
		state += weights;
	bytes += weights * sizeof(float) * (options->keep_best ? 2 : 1);
	bytes += batch * data->classes;
	return bytes + (training->atomic ? 0 : state * sizeof(float));
}

/*
 * Refuse what does not fit, before any of it is allocated: the kernel would
 * kill the process for it, and with that stop the whole server.
 */
static void
check_memory(const Training *training)
{
	TrainOptions options = training->options;
	const TrainMethod *method = options.method;
	const TrainData *data = &training->data;
	double		needed = memory_needed(training);
	double		available = model_memory_available();
	const char *separator = "";
	const OptionSpec *option;
	StringInfoData sizes;

	if (needed <= available)
		return;
	if (method->resolve != NULL)
		method->resolve(&options, &training->batches);
	initStringInfo(&sizes);
	appendStringInfoString(&sizes, "The options that decide it: ");
	for (option = method->options; option->name != NULL; option++)
	{
		if (!option->decides_memory)
			continue;
		appendStringInfo(&sizes, "%s\"%s\" %.0f", separator, option->name, train_option_get(&options, option));
		separator = ", ";
	}
	appendStringInfo(&sizes, "; with %d bits, %d image and %d text dimensions", options.bits,
					 data->dimensions[MODALITY_IMAGE], data->dimensions[MODALITY_TEXT]);
	if (method->needs_labels)
		appendStringInfo(&sizes, ", %d classes", data->classes);
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("training model \"%s\" needs %.1f MB of memory, but %.1f MB are available",
					training->row.name, needed / (1024 * 1024), available / (1024 * 1024)),
			 errdetail_internal("%s.", sizes.data),
			 errhint("Choose smaller ones. The setting xmhash.train_max_memory bounds what a training may take.")));
}

static void
say_sizes(const Training *training)
{
	const TrainData *data = &training->data;
	double		megabyte = 1024 * 1024;

	if (!xmhash_progress)
		return;
	ereport(INFO,
			(errmsg("training on %d pairs of %d image and %d text dimensions; "
					"networks, optimizer and batches take %.1f MB; %.1f MB of rows in a temporary file",
					data->training_count, data->dimensions[MODALITY_IMAGE],
					data->dimensions[MODALITY_TEXT],
					memory_needed(training) / megabyte,
					train_rows_spilled(data->rows) / megabyte)));
}

/* Read the data and make the trainer; fills what the model's row says of both. */
static void
prepare(Training *training)
{
	TrainOptions *options = &training->options;
	TrainData  *data = &training->data;
	ModelRow   *row = &training->row;
	int			side;

	if (options->method->needs_labels && NameStr(training->source.label_column)[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("method \"%s\" needs a label_column", options->method->name)));
	if (options->validation_fraction > 0 && NameStr(training->source.label_column)[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"validation_fraction\" needs a label_column")));
	train_data_read(data, &training->source, options, training->context);
	train_data_split(data, options);
	train_data_scale(data, options);
	train_data_source(data, &training->batches);
	if (options->method->resolve != NULL)
		options->method->resolve(options, &training->batches);
	check_memory(training);
	model_start_blas();
	say_sizes(training);
	training->trainer = trainer_create(options, &training->batches, &training->env);

	options->method->hidden_layers(options, row->hidden);
	for (side = 0; side < 2; side++)
	{
		row->dimensions[side] = data->dimensions[side];
		row->scales[side] = row->hidden[side].kernel == KERNEL_NONE ? data->scales[side] : 0;
	}
	get_class_names(data, row);
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

static void
copy_network(Network *to, const Network *from)
{
	int			i;

	for (i = 0; i < from->layers; i++)
	{
		const Layer *layer = &from->layer[i];

		model_copy_floats(to->layer[i].weight, layer->weight, (size_t) layer->inputs * layer->outputs);
		model_copy_floats(to->layer[i].bias, layer->bias, layer->outputs);
	}
}

/* Take the trainer's networks over, if they are good. */
static bool
keep_weights(Training *training)
{
	const Network *image = trainer_image_network(training->trainer);
	const Network *text = trainer_text_network(training->trainer);

	if (!model_network_is_finite(image) || !model_network_is_finite(text))
		return false;
	copy_network(&training->good.network[MODALITY_IMAGE], image);
	copy_network(&training->good.network[MODALITY_TEXT], text);
	return true;
}

static double
seconds_since(const instr_time *since)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, *since);
	return INSTR_TIME_GET_DOUBLE(now);
}

/*
 * Make the model's table.  The lock comes with it, so that nobody who sees it
 * finds it free.
 */
static void
create_model(Training *training)
{
	ModelTable	table;

	training->model = model_create(training->function, &training->place);
	model_lock(training->model, !training->atomic);
	training->row.created = model_now();
	model_open_own(training->function, training->model, &table);
	model_insert(&table, &training->row);
	model_close(&table);
}

/* The row of an epoch.  A validation_map of NaN stands for none. */
static char *
describe_epoch(const TrainLoss *loss, double seconds, double validation_map)
{
	StringInfoData json;
	int			i;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"loss\": ");
	model_append_number(&json, loss->loss);
	appendStringInfoString(&json, ", \"loss_terms\": {");
	for (i = 0; i < loss->terms; i++)
	{
		appendStringInfo(&json, "%s\"%s\": ", i > 0 ? ", " : "", loss->name[i]);
		model_append_number(&json, loss->term[i]);
	}
	appendStringInfoString(&json, "}, \"learning_rate\": ");
	model_append_number(&json, loss->learning_rate);
	appendStringInfoString(&json, ", \"seconds\": ");
	model_append_number(&json, seconds);
	if (!isnan(validation_map))
	{
		appendStringInfoString(&json, ", \"validation_map\": ");
		model_append_number(&json, validation_map);
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* What an epoch has brought, and the state after it if it is time for that. */
static void
write_epoch(Training *training, const TrainLoss *loss, double seconds, double validation_map, bool is_last)
{
	ModelRow   *row = &training->row;
	ModelTable	table;

	if (!OidIsValid(training->model))
		create_model(training);
	model_open_own(training->function, training->model, &table);
	model_insert_row(&table, MODEL_PART_EPOCH, training->epochs_done,
					 describe_epoch(loss, seconds, validation_map), NULL);
	row->epochs_done = training->epochs_done;
	row->loss = loss->loss;
	row->seconds += seconds;
	model_update(&table, row);
	if (!training->atomic && !is_last &&
		seconds_since(&training->saved) >= training->options.checkpoint_seconds)
	{
		train_checkpoint_save(training, &table);
		INSTR_TIME_SET_CURRENT(training->saved);
	}
	model_close(&table);
}

static void
say_epoch(const Training *training, int first, const TrainLoss *loss, double seconds,
		  double validation_map)
{
	const TrainOptions *options = &training->options;
	const char *const *phases = options->method->phases;
	int			epochs = train_epochs(options);
	int			done = training->epochs_done;
	double		left = seconds_since(&training->started) / (done - first) * (epochs - done);
	char		map[40] = "";
	int			rows;

	if (!xmhash_progress)
		return;
	if (!isnan(validation_map))
		snprintf(map, sizeof(map), ", validation mAP %.4f", validation_map);
	if (phases != NULL)
	{
		ereport(INFO,
				(errmsg("phase %d of %d: %s%s, %.1f s", done, epochs, phases[done - 1], map, seconds)));
		return;
	}
	rows = training->batches.rows / options->batch_size * options->batch_size;
	ereport(INFO,
			(errmsg("epoch %d of %d: loss %.6g%s, %.0f rows/s, %d:%02d:%02d left",
					done, epochs, loss->loss, map, rows / Max(seconds, 1e-9),
					(int) (left / 3600), (int) (left / 60) % 60, (int) left % 60)));
}

/* Store a finished model; the weights are the last good or the best ones. */
static void
finish(Training *training, const char *status)
{
	const float *weights = training->best_epoch > 0 && training->best != NULL ?
		training->best : training->good.floats;
	ModelTable	table;

	model_open_own(training->function, training->model, &table);
	model_delete_rows(&table, MODEL_PART_WEIGHTS, 0);
	model_write_pieces(&table, MODEL_PART_WEIGHTS, weights, training->good.count, NULL);
	model_delete_rows(&table, MODEL_PART_CHECKPOINT, 0);
	training->row.status = pstrdup(status);
	model_update(&table, &training->row);
	CacheInvalidateRelcache(table.relation);
	model_close(&table);
	train_commit(training);
}

/*
 * The loss or a weight is no number any more.  Keep the last good epoch, if
 * there is one, and what is kept must be committed before the error.
 */
static void
fail_not_finite(Training *training, int epoch)
{
	bool		kept = training->epochs_done > 0 && !training->atomic;

	if (kept)
		finish(training, "diverged");
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("training of model \"%s\" diverged in epoch %d: its loss or weights are no finite numbers",
					training->row.name, epoch + 1),
			 kept ? errdetail("The model is kept as it was after epoch %d.", training->epochs_done) :
			 errdetail("Nothing is kept."),
			 errhint("%s", training->options.method->not_finite_hint)));
}

/*
 * A phase of a closed form has failed.  What there is of the model is not good
 * for anything but to be resumed, so it stays a training that was interrupted.
 */
static void
fail_phase(const Training *training, int phase, const TrainLoss *loss)
{
	const TrainMethod *method = training->options.method;

	ereport(ERROR,
			(errcode(loss->failure != NULL ? ERRCODE_EXTERNAL_ROUTINE_EXCEPTION : ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("training of model \"%s\" failed in phase \"%s\": %s", training->row.name, method->phases[phase],
					loss->failure != NULL ? loss->failure : "its weights are no finite numbers"),
			 errhint("%s", method->not_finite_hint)));
}

/* Keep the best; true if patience has come to its end. */
static bool
judge(Training *training, double validation_map)
{
	if (isnan(validation_map))
		return false;
	if (training->best_epoch == 0 || validation_map > training->best_map)
	{
		training->best_epoch = training->epochs_done;
		training->best_map = validation_map;
		if (training->best != NULL)
			model_copy_floats(training->best, training->good.floats, training->good.count);
	}
	return training->options.patience > 0 &&
		training->epochs_done - training->best_epoch >= training->options.patience;
}

/* The epochs that are still to be done, from a trainer that is ready for them. */
static void
run_epochs(Training *training)
{
	int			epochs = train_epochs(&training->options);
	int			first = training->epochs_done;
	MemoryContext epoch_context = AllocSetContextCreate(training->context, "xmhash epoch",
														ALLOCSET_DEFAULT_SIZES);
	int			epoch;

	INSTR_TIME_SET_CURRENT(training->started);
	training->saved = training->started;
	for (epoch = first; epoch < epochs; epoch++)
	{
		TrainLoss	loss;
		instr_time	started;
		double		seconds;
		double		map = get_float8_nan();
		bool		enough;
		MemoryContext old_context;

		CHECK_FOR_INTERRUPTS();
		INSTR_TIME_SET_CURRENT(started);
		memset(&loss, 0, sizeof(loss));
		trainer_epoch(training->trainer, epoch, &loss);
		seconds = seconds_since(&started);
		if (!loss.finite || !isfinite(loss.loss) || !keep_weights(training))
		{
			if (training->options.method->phases != NULL)
				fail_phase(training, epoch, &loss);
			fail_not_finite(training, epoch);
		}

		old_context = MemoryContextSwitchTo(epoch_context);
		training->epochs_done = epoch + 1;
		if (training->data.validation_count > 0 && (training->options.method->phases == NULL || epoch + 1 == epochs))
			map = train_validate(training);
		enough = judge(training, map);
		write_epoch(training, &loss, seconds, map, enough || epoch + 1 == epochs);
		train_commit(training);
		say_epoch(training, first, &loss, seconds, map);
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(epoch_context);
		if (enough)
		{
			if (xmhash_progress)
				ereport(INFO,
						(errmsg("stopped after epoch %d: no gain since epoch %d",
								training->epochs_done, training->best_epoch)));
			break;
		}
	}
}

/* A training in a context of its own; the SPI connection is made here. */
static Training *
begin(FunctionCallInfo fcinfo, const char *command)
{
	MemoryContext context;
	Training   *training;
	bool		atomic = model_call_is_atomic(fcinfo);

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
end(Training *training)
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

	check_not_null(fcinfo);
	bits = PG_GETARG_INT32(ARGUMENT_BITS);
	if (bits < 1 || bits > BITCODE_MAX_BITS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a model cannot have %d bits, expected 1 to %d", bits, BITCODE_MAX_BITS)));
	training = begin(fcinfo, "xmhash_train()");
	row = &training->row;
	model_find_place(PG_GETARG_TEXT_PP(ARGUMENT_MODEL), &training->place);
	row->name = training->place.name;
	row->method = text_to_cstring(PG_GETARG_TEXT_PP(ARGUMENT_METHOD));
	row->bits = bits;
	row->status = "training";
	train_options_read(PG_GETARG_JSONB_P(ARGUMENT_OPTIONS), train_options_method(row->method), bits,
					   &training->options);
	row->options = train_options_write(&training->options);
	set_relation(&training->source, PG_GETARG_OID(ARGUMENT_RELATION));
	training->source.feature_column[MODALITY_IMAGE] = *PG_GETARG_NAME(ARGUMENT_IMAGE);
	training->source.feature_column[MODALITY_TEXT] = *PG_GETARG_NAME(ARGUMENT_TEXT);
	if (!PG_ARGISNULL(ARGUMENT_LABEL))
		training->source.label_column = *PG_GETARG_NAME(ARGUMENT_LABEL);
	row->source = source_to_json(&training->source);

	prepare(training);
	row->pairs = training->data.training_count + training->data.validation_count;
	row->digest = training->data.digest;
	train_commit(training);
	trainer_fit(training->trainer);
	run_epochs(training);
	finish(training, "trained");
	end(training);
	PG_RETURN_VOID();
}

/* A name of the model's source, "" if it is not there. */
static char *
source_field(Jsonb *source, const char *key)
{
	char	   *field = model_get_string(source, key);

	return field != NULL ? field : pstrdup("");
}

/* Where the rows of an unfinished model come from, found again by name. */
static void
restore_source(Training *training)
{
	Jsonb	   *source;
	Oid			relation;

	if (training->row.source == NULL || training->row.options == NULL || training->row.pairs < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("model \"%s\" does not say what it is trained on", training->row.name)));
	source = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(training->row.source)));
	relation = DatumGetObjectId(DirectFunctionCall1(regclassin, CStringGetDatum(source_field(source, "relation"))));
	set_relation(&training->source, relation);
	namestrcpy(&training->source.feature_column[MODALITY_IMAGE], source_field(source, "image_column"));
	namestrcpy(&training->source.feature_column[MODALITY_TEXT], source_field(source, "text_column"));
	namestrcpy(&training->source.label_column, source_field(source, "label_column"));
	train_options_read(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(training->row.options))),
					   train_options_method(training->row.method), training->row.bits, &training->options);
}

/* The rows must be the very ones that training began with. */
static void
check_same_data(const Training *training)
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
read_again(Training *training)
{
	bool		trusted = role_is_trusted(training->owner);
	RoleSwitch	role;

	if (!trusted)
		role_switch(&role, training->owner);
	restore_source(training);
	prepare(training);
	if (!trusted)
		role_restore(&role);
	check_same_data(training);
}

/* The row says what is there now, without the epochs that will be trained again. */
static void
restore_progress(Training *training, const ModelTable *table)
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
		if (model_get_number(info, "seconds", 0, 1e9, &seconds))
			row->seconds += seconds;
		if (scan.number == row->epochs_done)
			model_get_number(info, "loss", -DBL_MAX, DBL_MAX, &row->loss);
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
	training = begin(fcinfo, "xmhash_train_resume()");
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
	read_again(training);
	model_open_own(training->function, training->model, &table);
	loaded = train_checkpoint_load(training, &table);
	restore_progress(training, &table);
	model_close(&table);
	train_commit(training);
	if (!loaded)
		trainer_fit(training->trainer);
	if (xmhash_progress)
		ereport(INFO,
				(errmsg("resuming after epoch %d of %d", training->epochs_done,
						train_epochs(&training->options))));
	run_epochs(training);
	finish(training, "trained");
	end(training);
	PG_RETURN_VOID();
}
