/*
 * harness.c: the numeric core behind a few plain functions, for the Python
 * scripts of test/unit and test/bench (ctypes), compiled with the core into a
 * shared object of its own.  Memory is malloc's and goes with the session.
 */
#define _GNU_SOURCE
#include "core/method_dmsh_ln.h"
#include "core/method_jdsh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

/* profile.c */
extern void profile_fetch_begins(void);
extern void profile_fetch_ends(void);

/* One modality of the training set: dense, or compressed sparse rows. */
typedef struct Table
{
	int			columns;
	float	   *dense;
	int32_t    *row_start;
	int32_t    *column;
	float	   *value;

	/* the batch handed out last */
	float	   *batch;
	int32_t    *batch_start;
	int32_t    *batch_column;
	float	   *batch_value;
} Table;

typedef struct Block
{
	struct Block *next;
	void	   *memory;
} Block;

/* A training set, a trainer and all their memory. */
typedef struct Session
{
	Block	   *blocks;
	CoreEnv env;
	TrainOptions options;
	BatchSource source;
	Table		image;
	Table		text;
	uint8_t    *labels;
	uint8_t    *batch_labels;
	int32_t    *order;			/* [rows], or NULL: as they are */
	int32_t    *ordered;		/* [m] rows of the batch, by it */
	Trainer    *trainer;
	size_t		allocated;
} Session;

static void *
allocate(void *arena, size_t bytes)
{
	Session    *session = arena;
	Block	   *block = malloc(sizeof(Block));
	size_t		rounded = (bytes + 63) & ~(size_t) 63;

	if (posix_memalign(&block->memory, 64, rounded > 0 ? rounded : 64) != 0)
		abort();
	memset(block->memory, 0, rounded);
	block->next = session->blocks;
	session->blocks = block;
	session->allocated += rounded;
	return block->memory;
}

static void
interrupt(void)
{
}

/* Keep a dense matrix, or its non-zeros. */
static void
table_fill(Session *session, Table *table, const float *matrix, int rows, int columns, bool sparse, int batch)
{
	size_t		total = (size_t) rows * columns;
	size_t		i;
	int			j;
	int			entries = 0;

	table->columns = columns;
	if (!sparse)
	{
		table->dense = allocate(session, total * sizeof(float));
		memcpy(table->dense, matrix, total * sizeof(float));
		table->batch = allocate(session, (size_t) batch * columns * sizeof(float));
		return;
	}
	for (i = 0; i < total; i++)
		entries += matrix[i] != 0;
	table->row_start = allocate(session, (rows + 1) * sizeof(int32_t));
	table->column = allocate(session, entries * sizeof(int32_t));
	table->value = allocate(session, entries * sizeof(float));
	entries = 0;
	for (i = 0; i < (size_t) rows; i++)
	{
		for (j = 0; j < columns; j++)
			if (matrix[i * columns + j] != 0)
			{
				table->column[entries] = j;
				table->value[entries++] = matrix[i * columns + j];
			}
		table->row_start[i + 1] = entries;
	}
	table->batch_start = allocate(session, (batch + 1) * sizeof(int32_t));
	table->batch_column = allocate(session, (size_t) batch * columns * sizeof(int32_t));
	table->batch_value = allocate(session, (size_t) batch * columns * sizeof(float));
}

static void
table_fetch(Table *table, const int32_t *rows, int count, Features *features)
{
	int			entries = 0;
	int			i;

	memset(features, 0, sizeof(*features));
	features->rows = count;
	features->columns = table->columns;
	if (table->dense != NULL)
	{
		for (i = 0; i < count; i++)
			memcpy(table->batch + (size_t) i * table->columns,
				   table->dense + (size_t) rows[i] * table->columns, table->columns * sizeof(float));
		features->dense = table->batch;
		return;
	}
	for (i = 0; i < count; i++)
	{
		int			start = table->row_start[rows[i]];
		int			length = table->row_start[rows[i] + 1] - start;

		memcpy(table->batch_column + entries, table->column + start, length * sizeof(int32_t));
		memcpy(table->batch_value + entries, table->value + start, length * sizeof(float));
		entries += length;
		table->batch_start[i + 1] = entries;
	}
	features->row_start = table->batch_start;
	features->column = table->batch_column;
	features->value = table->batch_value;
}

static void
fetch(void *context, const int32_t *rows, int count, Features *image, Features *text, const uint8_t **labels)
{
	Session    *session = context;
	int			classes = session->source.classes;
	int			i;

	profile_fetch_begins();
	if (session->order != NULL)
	{
		for (i = 0; i < count; i++)
			session->ordered[i] = session->order[rows[i]];
		rows = session->ordered;
	}
	table_fetch(&session->image, rows, count, image);
	table_fetch(&session->text, rows, count, text);
	if (labels != NULL)
	{
		for (i = 0; i < count; i++)
			memcpy(session->batch_labels + (size_t) i * classes,
				   session->labels + (size_t) rows[i] * classes, classes);
		*labels = session->batch_labels;
	}
	profile_fetch_ends();
}

EXPORT void
harness_load(void)
{
	char		message[200];

	if (blas_load(NULL, message, sizeof(message)) != BLAS_LOADED)
	{
		fprintf(stderr, "%s\n", message);
		exit(1);
	}
}

/* A method by name; options by defaults, then harness_option(). */
EXPORT Session *
harness_open(const char *method, int threads)
{
	Session    *session = calloc(1, sizeof(Session));

	harness_load();
	blas_set_threads(threads);
	session->env.allocate = allocate;
	session->env.arena = session;
	session->env.interrupt = interrupt;
	train_defaults(&session->options, train_method(method));
	return session;
}

EXPORT int
harness_option(Session *session, const char *name, double value)
{
	const OptionSpec *option = train_option(session->options.method, name);

	if (strcmp(name, "bits") == 0)
		session->options.bits = value;
	else if (option != NULL)
		train_option_set(&session->options, option, value);
	else
		return 0;
	return 1;
}

/* The training set (copied), and the trainer with its initial weights. */
EXPORT void
harness_data(Session *session, int rows, const float *image, int image_columns, int image_sparse,
			 const float *text, int text_columns, int text_sparse, const uint8_t *labels, int classes)
{
	int			batch;

	session->source.rows = rows;
	session->source.image_columns = image_columns;
	session->source.text_columns = text_columns;
	session->source.image_sparse = image_sparse;
	session->source.text_sparse = text_sparse;
	session->source.classes = classes;
	session->source.fetch = fetch;
	session->source.context = session;
	if (session->options.method->resolve != NULL)
		session->options.method->resolve(&session->options, &session->source);
	batch = session->options.batch_size;
	table_fill(session, &session->image, image, rows, image_columns, image_sparse, batch);
	table_fill(session, &session->text, text, rows, text_columns, text_sparse, batch);
	if (classes > 0)
	{
		session->labels = allocate(session, (size_t) rows * classes);
		memcpy(session->labels, labels, (size_t) rows * classes);
		session->batch_labels = allocate(session, (size_t) batch * classes);
	}
	session->trainer = trainer_create(&session->options, &session->source, &session->env);
}

EXPORT void
harness_fit(Session *session, double fit[7])
{
	trainer_fit(session->trainer);
	if (session->options.method == &method_jdsh)
		memcpy(fit, &jdsh_state(session->trainer)->fit, 7 * sizeof(double));
}

/* Loss and terms of an epoch; -1 in finite's place stops the caller. */
EXPORT int
harness_epoch(Session *session, int epoch, double *loss, double terms[TRAIN_MAX_TERMS])
{
	TrainLoss	result;

	trainer_epoch(session->trainer, epoch, &result);
	*loss = result.loss;
	memcpy(terms, result.term, sizeof(result.term));
	return result.finite;
}

/* Order in which the last epoch, or the fit, took the rows. */
EXPORT const int32_t *
harness_permutation(Session *session)
{
	return session->trainer->permutation;
}

EXPORT int
harness_state(Session *session, int number, const char **name, float **data, size_t *count)
{
	TrainerState states[TRAINER_MAX_STATES];
	int			total = trainer_state(session->trainer, states);

	if (number >= total)
		return 0;
	*name = states[number].name;
	*data = states[number].data;
	*count = states[number].count;
	return 1;
}

/* The factors that dropout applies in one step, by its definition. */
EXPORT void
harness_dropout(Session *session, int epoch, int step, int text, int count, float *factors)
{
	RandomKey	key = random_key(session->options.seed, epoch, step,
								 text ? RANDOM_DROPOUT_TEXT : RANDOM_DROPOUT_IMAGE);
	float		dropout = dmsh_ln_options(&session->options)->dropout;
	int			i;

	for (i = 0; i < count; i++)
		factors[i] = random_uniform(key, i) < dropout ? 0 :
			(float) (1 / (1 - dmsh_ln_options(&session->options)->dropout));
}

/* Codes of rows, dense, (bits + 7) / 8 bytes each, in batches of 1,000. */
EXPORT void
harness_encode(Session *session, int text, const float *matrix, int rows, uint8_t *codes)
{
	Network		network = text ? *trainer_text_network(session->trainer) : *trainer_image_network(session->trainer);
	int			batch = 1000;
	float	   *scratch = allocate(session, (size_t) batch * (network.units + 1) * sizeof(float));
	float	   *outputs = allocate(session, (size_t) batch * network.outputs * sizeof(float));
	int			i;

	network_prepare(&session->env, &network);
	for (i = 0; i < rows; i += batch)
	{
		Features	features = {0};

		features.rows = rows - i < batch ? rows - i : batch;
		features.columns = network.inputs;
		features.dense = matrix + (size_t) i * network.inputs;
		network_encode(&session->env, &network, &features, scratch, outputs,
					   codes + (size_t) i * ((network.outputs + 7) / 8));
	}
}

/*
 * Seconds that it takes to encode a table's rows in batches of so many (1: each
 * alone), some repetitions after one that warms up; as xmhash_encode_table does,
 * but for reading and writing the table.
 */
EXPORT void
harness_encode_seconds(Session *session, int text, const float *matrix, int rows, int sparse, int batch,
					   int repetitions, double *seconds)
{
	Network		network = text ? *trainer_text_network(session->trainer) : *trainer_image_network(session->trainer);
	float	   *scratch = allocate(session, (size_t) batch * (network.units + 1) * sizeof(float));
	float	   *outputs = allocate(session, (size_t) batch * network.outputs * sizeof(float));
	uint8_t    *codes = allocate(session, (size_t) batch * network.outputs);
	Table		table = {0};
	int			round;
	int			i;

	network_prepare(&session->env, &network);
	table_fill(session, &table, matrix, rows, network.inputs, sparse, 1);
	for (round = -1; round < repetitions; round++)
	{
		struct timespec start;
		struct timespec end;

		clock_gettime(CLOCK_MONOTONIC, &start);
		for (i = 0; i < rows; i += batch)
		{
			Features	features = {0};

			features.rows = rows - i < batch ? rows - i : batch;
			features.columns = network.inputs;
			features.dense = sparse ? NULL : table.dense + (size_t) i * network.inputs;
			features.row_start = sparse ? table.row_start + i : NULL;
			features.column = table.column;
			features.value = table.value;
			network_encode(&session->env, &network, &features, scratch, outputs, codes);
		}
		clock_gettime(CLOCK_MONOTONIC, &end);
		if (round >= 0)
			seconds[round] = end.tv_sec - start.tv_sec + 1e-9 * (end.tv_nsec - start.tv_nsec);
	}
}

/*
 * Put the rows into another order.  To train epoch 0 again and again, that is
 * without continuation, needs this: an epoch's order is a function of its number.
 */
EXPORT void
harness_reorder(Session *session, int64_t seed)
{
	if (session->order == NULL)
	{
		session->order = allocate(session, session->source.rows * sizeof(int32_t));
		session->ordered = allocate(session, session->options.batch_size * sizeof(int32_t));
	}
	random_permutation(random_key(seed, 0, 0, RANDOM_VALIDATION), session->order, session->source.rows);
}

/* Bound BLAS's threads, also for another user of the same library in this process. */
EXPORT void
harness_threads(int threads)
{
	blas_set_threads(threads);
}

EXPORT const char *
harness_version(void)
{
	return blas_version();
}

EXPORT void
harness_close(Session *session)
{
	while (session->blocks != NULL)
	{
		Block	   *block = session->blocks;

		session->blocks = block->next;
		free(block->memory);
		free(block);
	}
	free(session);
}
