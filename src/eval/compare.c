/*
 * eval/compare.c: several models side by side, on the same pairs.
 *
 * All that others could change is taken once, before a row is read: each
 * model's networks are this call's own, so the length of its codes is fixed; the
 * relation is locked and the types of its columns are known, and looked at again
 * in each batch.  Then the pairs are read once, as they are stored; a cast runs
 * only if its owner has the caller's rights (server/cast.c).  Each chunk of them is
 * encoded by every model, and only codes are kept.
 *
 * Then each image ranks the texts, and each text the images, as
 * xmhash_evaluate() does.  What is relevant is what shares a class or, without
 * labels, a row's own counterpart alone: average precision is then the
 * reciprocal of its rank.
 */
#include "xmhash.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "core/exact_sum.h"
#include "core/page_layout.h"
#include "eval/read.h"
#include "model/feature_chunk.h"
#include "server/cast.h"
#include "server/core_env.h"
#include "server/lookup.h"

XMHASH_FUNCTION(xmhash_compare_models);

#define COLUMNS 16
#define INTERRUPT_ROWS 1024
#define FIRST_CAPACITY 64

/* What is computed from codes takes, a pair, beside a copy of a code. */
#define RANKING_BYTES 128

/* A model, and the codes that it gives: [capacity × words] by Modality. */
typedef struct ComparedModel
{
	Oid			model;
	char	   *method;
	int			bits;
	int			words;
	Network		network[2];
	uint64	   *codes[2];
} ComparedModel;

typedef struct Comparison
{
	/* What is asked for. */
	Oid			function;
	Oid			relation;
	const char *relation_name;	/* qualified and quoted */
	const char *column[2];		/* by Modality */
	const char *label_column;	/* NULL: none */
	int64		k;				/* 0: the whole ranking */

	MemoryContext context;		/* of all this */
	Size		networks;		/* bytes of it that the models take */
	int			count;
	ComparedModel *models;

	/* The pairs at hand. */
	EvalQuery	query;
	FeatureCast *cast[2];		/* NULL: the column is real[] */
	Labels	   *labels;			/* NULL: none */
	MemoryContext chunk_context;
	CoreEnv		chunk_env;
	FeatureChunk chunk[2];
	float	   *scratch;
	float	   *outputs;
	uint8_t    *packed;

	/* Those whose codes are kept. */
	int			capacity;
	int			pairs;
	int32	   *set;			/* [capacity]: label set */
	int64		left_out;		/* pairs with a side that is NULL */
	EvalSets	sets;
} Comparison;

/* What one side's codes are like, and what their rankings score by the other side's. */
typedef struct SideScores
{
	double		map;
	double		precision;
	double		pages_read;
	int64		pages;
	double		bit_balance;
	int64		duplicates;
} SideScores;

/* ---------- What is asked for ---------- */

static void
compare_get_arguments(Comparison *comparison, FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"models", "relation", "image_column", "text_column"};

	for (int i = 0; i < lengthof(names); i++)
		eval_require_argument(fcinfo, i, names[i]);
	comparison->function = fcinfo->flinfo->fn_oid;
	comparison->relation = PG_GETARG_OID(1);
	comparison->column[MODALITY_IMAGE] = NameStr(*PG_GETARG_NAME(2));
	comparison->column[MODALITY_TEXT] = NameStr(*PG_GETARG_NAME(3));
	comparison->label_column = PG_ARGISNULL(4) ? NULL : NameStr(*PG_GETARG_NAME(4));
	comparison->k = eval_get_cutoff(fcinfo, 5);
}

/* From here on the relation is not replaced; what its columns hold. */
static void
compare_look_at_relation(Comparison *comparison)
{
	EvalQuery  *query = &comparison->query;
	StringInfoData text;

	eval_check_relation(comparison->relation);
	comparison->relation_name = lookup_relation_name(comparison->relation);
	query->relation = get_rel_name(comparison->relation);
	initStringInfo(&text);
	for (int side = 0; side < 2; side++)
	{
		Oid			type = lookup_column_type(comparison->relation, comparison->relation_name, comparison->column[side]);

		query->type[query->columns++] = type;
		if (getBaseType(type) != FLOAT4ARRAYOID)
			comparison->cast[side] = feature_cast_create(type, comparison->column[side], comparison->relation_name);
		appendStringInfo(&text, "%s%s", side == 0 ? "SELECT " : ", ", quote_identifier(comparison->column[side]));
	}
	if (comparison->label_column != NULL)
	{
		Oid			type = lookup_column_type(comparison->relation, comparison->relation_name, comparison->label_column);

		query->type[query->columns++] = type;
		comparison->labels = labels_create();
		labels_source(comparison->labels, query->relation, comparison->label_column, type);
		appendStringInfo(&text, ", %s", quote_identifier(comparison->label_column));
	}
	appendStringInfo(&text, " FROM %s", comparison->relation_name);
	query->text = text.data;
}

/* ---------- The models ---------- */

/* One column of features is for all of them. */
static void
compare_check_dimensions(const ComparedModel *first, const ComparedModel *model)
{
	for (int side = 0; side < 2; side++)
		if (model->network[side].inputs != first->network[side].inputs)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("model \"%s\" expects %s features of %d elements, but model \"%s\" of %d",
							model_name(model->model), modality_name[side], model->network[side].inputs,
							model_name(first->model), first->network[side].inputs),
					 errhint("Compare models that were trained on the same columns.")));
}

static void
compare_open_model(Comparison *comparison, ComparedModel *model, ModelRow *row)
{
	ModelTable	table;
	CoreEnv		env = core_env(comparison->context);

	model_open(comparison->function, model->model, &table);
	model_find(&table, row);
	for (int side = 0; side < 2; side++)
		if (!model_has(row, side))
			model_fail_absent(row->name, side);
	model_load(&table, row, &env, model->network);
	model_close(&table);
	model->method = row->method;
	model->bits = row->bits;
	model->words = HAMMING_WORDS(row->bits);
}

/* The elements of the array, each of them once. */
static void
compare_get_models(Comparison *comparison, ArrayType *array)
{
	Datum	   *values;
	bool	   *nulls;

	deconstruct_array(array, REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT, &values, &nulls, &comparison->count);
	comparison->models = palloc0(Max(comparison->count, 1) * sizeof(ComparedModel));
	for (int i = 0; i < comparison->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("element %d of argument models of %s must not be null", i + 1,
							get_func_name(comparison->function))));
		comparison->models[i].model = DatumGetObjectId(values[i]);
		for (int j = 0; j < i; j++)
			if (comparison->models[j].model == comparison->models[i].model)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("model \"%s\" is listed twice", model_name(comparison->models[i].model))));
	}
}

/* Read all networks, and make room for a chunk that the largest of them takes. */
static void
compare_open_models(Comparison *comparison)
{
	CoreEnv		env = core_env(comparison->context);
	int			rows = INT_MAX;
	int			units = 0;
	int			bits = 0;

	for (int i = 0; i < comparison->count; i++)
	{
		ModelRow	row;

		compare_open_model(comparison, &comparison->models[i], &row);
		compare_check_dimensions(&comparison->models[0], &comparison->models[i]);
		rows = Min(rows, feature_chunk_rows(&row));
		units = Max(units, model_most_units(&row));
		bits = Max(bits, row.bits);
	}
	model_start_blas();
	comparison->query.rows_at_once = rows;
	for (int side = 0; side < 2; side++)
		feature_chunk_create(&comparison->chunk[side], &env, comparison->models[0].network[side].inputs, rows);
	comparison->scratch = env.allocate(env.arena, (Size) rows * (units + 1) * sizeof(float));
	comparison->outputs = env.allocate(env.arena, (Size) rows * bits * sizeof(float));
	comparison->packed = env.allocate(env.arena, (Size) rows * ((bits + 7) / 8));
	comparison->networks = MemoryContextMemAllocated(comparison->context, true);
}

/* ---------- The pairs ---------- */

/* Bytes that a pair takes: the codes of all models, and its set. */
static double
compare_pair_bytes(const Comparison *comparison)
{
	Size		words = 0;

	for (int i = 0; i < comparison->count; i++)
		words += 2 * comparison->models[i].words;
	return sizeof(int32) + words * sizeof(uint64);
}

/* Beside the networks and one chunk all stays within maintenance_work_mem, with so many bytes more. */
static void
compare_check_memory(const Comparison *comparison, double more)
{
	double		bytes = (double) MemoryContextMemAllocated(comparison->context, true) - comparison->networks + more;

	if (bytes > maintenance_work_mem * 1024.0)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("comparing %d models on more than %d pairs of relation %s takes more memory than maintenance_work_mem, which is %d kB",
						comparison->count, comparison->pairs + comparison->chunk[0].rows, comparison->relation_name,
						maintenance_work_mem),
				 errhint("Raise maintenance_work_mem, or compare fewer models or pairs.")));
}

/* Capacity for one pair behind those of the chunk. */
static void
compare_reserve_pair(Comparison *comparison)
{
	int			capacity = Max(FIRST_CAPACITY, 2 * comparison->capacity);

	if (comparison->pairs + comparison->chunk[0].rows < comparison->capacity)
		return;
	if (comparison->capacity > PG_INT32_MAX / 4)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("relation %s has more than %d pairs to compare models on",
						comparison->relation_name, comparison->capacity)));
	compare_check_memory(comparison, (capacity - comparison->capacity) * compare_pair_bytes(comparison));
	for (int i = 0; i < comparison->count; i++)
		for (int side = 0; side < 2; side++)
		{
			ComparedModel *model = &comparison->models[i];
			Size		bytes = (Size) capacity * model->words * sizeof(uint64);

			model->codes[side] = model->codes[side] == NULL ? MemoryContextAllocHuge(comparison->context, bytes) :
				repalloc_huge(model->codes[side], bytes);
		}
	comparison->set = comparison->set == NULL ?
		MemoryContextAllocHuge(comparison->context, (Size) capacity * sizeof(int32)) :
		repalloc_huge(comparison->set, (Size) capacity * sizeof(int32));
	comparison->capacity = capacity;
}

/* The codes of a chunk's rows of one side, by one model, behind those that are kept. */
static void
compare_encode_side(Comparison *comparison, ComparedModel *model, int side, const Features *features)
{
	int			bytes = (model->bits + 7) / 8;
	Size		size = model->words * sizeof(uint64);
	char	   *to = (char *) (model->codes[side] + (Size) comparison->pairs * model->words);

	network_encode(&comparison->chunk_env, &model->network[side], features,
				   comparison->scratch, comparison->outputs, comparison->packed);
	memset(to, 0, features->rows * size);
	for (int i = 0; i < features->rows; i++)
		memcpy(to + i * size, comparison->packed + (Size) i * bytes, bytes);
}

/* Keep the codes of the chunk at hand by every model, and begin another; its sets are there already. */
static void
compare_encode_chunk(Comparison *comparison)
{
	int			rows = comparison->chunk[0].rows;
	MemoryContext old_context = MemoryContextSwitchTo(comparison->chunk_context);

	for (int side = 0; side < 2 && rows > 0; side++)
	{
		Features	features;

		feature_chunk_features(&comparison->chunk[side], &features);
		for (int i = 0; i < comparison->count; i++)
		{
			CHECK_FOR_INTERRUPTS();
			compare_encode_side(comparison, &comparison->models[i], side, &features);
		}
		feature_chunk_empty(&comparison->chunk[side]);
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(comparison->chunk_context);
	comparison->pairs += rows;
	compare_check_memory(comparison, (double) comparison->pairs * RANKING_BYTES);
}

/* A row of image, text[, label] goes to the chunk, unless a side is missing. */
static void
compare_take_row(void *reader, HeapTuple tuple, TupleDesc descriptor, int64 ordinal)
{
	Comparison *comparison = reader;
	FeaturePlace place = {.relation = comparison->relation_name, .model = comparison->models[0].model, .ordinal = ordinal};
	int32		set = comparison->pairs + comparison->chunk[0].rows;
	Datum		value[3] = {0};
	bool		isnull[3];

	for (int i = 0; i < comparison->query.columns; i++)
		value[i] = SPI_getbinval(tuple, descriptor, i + 1, &isnull[i]);
	for (int side = 0; side < 2; side++)
		if (comparison->cast[side] != NULL && !isnull[side])
			value[side] = feature_cast_value(comparison->cast[side], value[side], &isnull[side]);
	if (isnull[0] || isnull[1])
	{
		comparison->left_out++;
		return;
	}
	compare_reserve_pair(comparison);
	if (comparison->labels != NULL)
	{
		comparison->set[set] = labels_add(comparison->labels, value[2], isnull[2], ordinal);
		/* One row may have a million classes. */
		compare_check_memory(comparison, 0);
	}
	else
		comparison->set[set] = set;
	for (int side = 0; side < 2; side++)
	{
		place.column = comparison->column[side];
		feature_chunk_add(&comparison->chunk[side], value[side], &place);
	}
	if (comparison->chunk[0].rows == comparison->query.rows_at_once)
		compare_encode_chunk(comparison);
}

/* Without labels each pair is a class of its own. */
static void
compare_own_sets(Comparison *comparison)
{
	int			pairs = comparison->pairs;
	int64	   *start = MemoryContextAllocHuge(comparison->context, ((Size) pairs + 1) * sizeof(int64));
	int32	   *number = MemoryContextAllocHuge(comparison->context, ((Size) pairs + 1) * sizeof(int32));

	for (int i = 0; i <= pairs; i++)
	{
		if (i % INTERRUPT_ROWS == 0)
			CHECK_FOR_INTERRUPTS();
		start[i] = i;
		number[i] = i;
	}
	comparison->sets = (EvalSets) {.classes = pairs, .sets = pairs, .start = start, .class_number = number};
}

static void
compare_read_pairs(Comparison *comparison)
{
	comparison->chunk_context = AllocSetContextCreate(comparison->context, "xmhash chunk to compare", ALLOCSET_DEFAULT_SIZES);
	comparison->chunk_env = core_env(comparison->chunk_context);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	eval_fetch_rows(&comparison->query, compare_take_row, comparison);
	compare_encode_chunk(comparison);
	SPI_finish();
	for (int side = 0; side < 2; side++)
		if (comparison->cast[side] != NULL)
			feature_cast_free(comparison->cast[side]);
	if (comparison->labels != NULL)
	{
		labels_finish(comparison->labels);
		labels_eval_sets(comparison->labels, comparison->context, &comparison->sets);
		labels_free(comparison->labels);
	}
	else
		compare_own_sets(comparison);
	if (comparison->left_out > 0)
		ereport(NOTICE,
				(errmsg_plural("%lld pair of relation %s lacks a side and is left out",
							   "%lld pairs of relation %s lack a side and are left out",
							   comparison->left_out, (long long) comparison->left_out, comparison->relation_name)));
}

/* ---------- The scores ---------- */

/* Each code of one side ranks those of the other. */
static void
compare_rank(const Comparison *comparison, const ComparedModel *model, int side, SideScores *scores)
{
	MemoryContext work = AllocSetContextCreate(comparison->context, "xmhash rankings to compare", ALLOCSET_DEFAULT_SIZES);
	CoreEnv		env = core_env(work);
	EvalDatabase database = {model->bits, comparison->pairs, model->codes[1 - side], comparison->set};
	Evaluator  *evaluator = evaluator_create(&env, &database, &comparison->sets, 0);
	int			k = comparison->k == 0 ? comparison->pairs : (int) Min(comparison->k, comparison->pairs);
	PageLayout	layout;
	ExactSum	map = {0};
	ExactSum	precision = {0};
	int64		reads = 0;

	page_layout_create(&layout, &env, model->bits, comparison->pairs, database.codes, BLCKSZ - PAGE_OVERHEAD);
	compare_check_memory(comparison, 0);
	for (int i = 0; i < comparison->pairs; i++)
	{
		const uint64 *code = model->codes[side] + (Size) i * model->words;
		double		found;
		double		gain;
		int			distance;

		evaluator_rank(evaluator, code, comparison->set[i]);
		exact_sum_add(&map, evaluator_average_precision(evaluator));
		distance = evaluator_expected_counts(evaluator, k, &found, &gain);
		exact_sum_add(&precision, found / k);
		reads += page_layout_reads(&layout, code, distance);
	}
	scores->map = exact_sum_value(&map) / comparison->pairs;
	scores->precision = exact_sum_value(&precision) / comparison->pairs;
	scores->pages_read = (double) reads / comparison->pairs;
	scores->pages = layout.directory.pages;
	MemoryContextDelete(work);
}

/*
 * How evenly the bits are used: the mean over the bits of twice the share of
 * whichever of 0 and 1 is rarer.  1: each is 1 in half of the codes; 0: all
 * codes are the same.  Which bit of a word is which does not matter, and those
 * behind a code's last are 0.
 */
static double
compare_bit_balance(const ComparedModel *model, int side, int pairs)
{
	int64	   *ones = palloc0(model->words * 64 * sizeof(int64));
	double		sum = 0;

	for (int i = 0; i < pairs; i++)
	{
		const uint64 *code = model->codes[side] + (Size) i * model->words;

		if (i % INTERRUPT_ROWS == 0)
			CHECK_FOR_INTERRUPTS();
		for (int w = 0; w < model->words; w++)
			for (uint64 word = code[w]; word != 0; word &= word - 1)
				ones[w * 64 + pg_rightmost_one_pos64(word)]++;
	}
	for (int i = 0; i < model->words * 64; i++)
		sum += 2.0 * Min(ones[i], pairs - ones[i]) / pairs;
	pfree(ones);
	return sum / model->bits;
}

static int
compare_codes(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(Size *) size);
}

/* How many codes another row has had before; sorts them. */
static int64
compare_count_duplicates(ComparedModel *model, int side, int pairs)
{
	Size		size = model->words * sizeof(uint64);
	const char *code = (const char *) model->codes[side];
	int64		duplicates = 0;

	qsort_interruptible(model->codes[side], pairs, size, compare_codes, &size);
	for (int i = 1; i < pairs; i++)
	{
		if (i % INTERRUPT_ROWS == 0)
			CHECK_FOR_INTERRUPTS();
		duplicates += memcmp(code + i * size, code + (i - 1) * size, size) == 0;
	}
	return duplicates;
}

/* The row of one model; means of no pair are NULL, as avg() has them. */
static void
compare_put_model(const Comparison *comparison, ComparedModel *model, Tuplestorestate *rows, TupleDesc descriptor)
{
	SideScores	scores[2] = {{0}};
	Datum		values[COLUMNS] = {0};
	bool		nulls[COLUMNS] = {0};

	for (int side = 0; side < 2 && comparison->pairs > 0; side++)
		compare_rank(comparison, model, side, &scores[side]);
	for (int side = 0; side < 2 && comparison->pairs > 0; side++)
	{
		scores[side].bit_balance = compare_bit_balance(model, side, comparison->pairs);
		scores[side].duplicates = compare_count_duplicates(model, side, comparison->pairs);
	}
	values[0] = ObjectIdGetDatum(model->model);
	values[1] = CStringGetTextDatum(model->method);
	values[2] = Int32GetDatum(model->bits);
	values[3] = Int64GetDatum(comparison->pairs);
	for (int side = 0; side < 2; side++)
	{
		values[4 + side] = Float8GetDatum(scores[side].map);
		values[6 + side] = Float8GetDatum(scores[side].precision);
		values[8 + side] = Float8GetDatum(scores[side].bit_balance);
		values[10 + side] = Int64GetDatum(scores[side].duplicates);
		values[12 + side] = Float8GetDatum(scores[side].pages_read);
		/* Images search among texts. */
		values[14 + side] = Int64GetDatum(scores[1 - side].pages);
	}
	for (int i = 4; i < COLUMNS; i++)
		nulls[i] = comparison->pairs == 0;
	tuplestore_putvalues(rows, descriptor, values, nulls);
}

Datum
xmhash_compare_models(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash comparison", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context;
	Comparison *comparison;
	Tuplestorestate *rows;
	TupleDesc	descriptor;

	rows = eval_begin_rows(fcinfo, &descriptor);
	old_context = MemoryContextSwitchTo(context);
	comparison = palloc0(sizeof(Comparison));
	comparison->context = context;
	compare_get_arguments(comparison, fcinfo);
	compare_get_models(comparison, PG_GETARG_ARRAYTYPE_P(0));
	compare_look_at_relation(comparison);
	if (comparison->count > 0)
	{
		compare_open_models(comparison);
		compare_read_pairs(comparison);
	}
	for (int i = 0; i < comparison->count; i++)
		compare_put_model(comparison, &comparison->models[i], rows, descriptor);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	PG_RETURN_NULL();
}
