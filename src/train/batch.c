/*
 * train/batch.c: what the trainer sees of the training rows: scaled batches.
 *
 * Scales are computed over the training rows in their canonical order, so that
 * the sums, and all that follows, do not depend on how the table is stored.
 * A modality in which fewer than a quarter of the values are non-zero is handed
 * over as compressed sparse rows: the first layer's cost follows the non-zeros
 * then, and below that share it is well worth the indirection.  Centring, by
 * the scale 'standard', leaves no zeros.
 */
#include "train/data.h"

#include <math.h>

#include "core/random.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define SPARSE_BELOW 0.25

/* Random accesses: a million of them take some tens of milliseconds. */
#define SHUFFLED_AT_ONCE (1 << 20)

/* Mark the rows that come first in a random order. */
static bool *
batch_choose_rows(RandomKey key, int32_t *order, int count, int chosen)
{
	bool	   *is_chosen = MemoryContextAllocExtended(CurrentMemoryContext, Max(count, 1),
													   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	int			i;

	for (i = 0; i < count; i++)
		order[i] = i;
	for (i = chosen > 0 ? count : 0; i > 0; i -= Min(i, SHUFFLED_AT_ONCE))
	{
		CHECK_FOR_INTERRUPTS();
		random_shuffle(key, order, Max(i - SHUFFLED_AT_ONCE, 0), i);
	}
	for (i = 0; i < chosen; i++)
		is_chosen[order[i]] = true;
	return is_chosen;
}

/* Hold out a random share of the rows; both parts stay in canonical order. */
void
train_data_split(TrainData *data, const TrainOptions *options)
{
	int			count = train_rows_count(data->rows);
	int32_t    *order = MemoryContextAllocHuge(data->context, Max(count, 1) * sizeof(int32_t));
	int			held_out = (int) (options->validation_fraction * count);
	bool	   *is_held_out;
	int			at[2] = {held_out, 0};
	int			i;

	if (held_out == 0 && options->validation_fraction > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a validation_fraction of %g of %d pairs is no pair",
						options->validation_fraction, count)));
	is_held_out = batch_choose_rows(random_key(options->seed, 0, 0, RANDOM_VALIDATION), order, count, held_out);
	for (i = 0; i < count; i++)
		order[at[is_held_out[i]]++] = i;
	pfree(is_held_out);
	data->validation = order;
	data->validation_count = held_out;
	data->training = order + held_out;
	data->training_count = count - held_out;
	if (data->training_count < Max(options->batch_size, 2))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("relation %s has %d pairs to train on beside %d held out for validation, fewer than %s%d",
						data->source->relation_name, data->training_count, held_out,
						options->batch_size > 0 ? "one batch of " : "", Max(options->batch_size, 2))));
}

/* Sums over all training rows, by side. */
typedef struct ScaleSums
{
	double		squares[2];		/* of all values */
	double	   *sum[2];			/* [dimensions] */
	double	   *square[2];		/* [dimensions], of deviations from mean */
	double	   *mean[2];		/* [dimensions]; NULL in the first pass */
} ScaleSums;

static void
scale_add_row(const TrainRecord *record, const int dimensions[2], ScaleSums *sums)
{
	int			side;
	int			i;

	for (side = 0; side < 2; side++)
	{
		bool		listed = record->listed[side] >= 0;
		int			count = listed ? record->listed[side] : dimensions[side];

		for (i = 0; i < count; i++)
		{
			double		x = record->value[side][i];
			int			column = listed ? record->column[side][i] : i;

			if (sums->mean[side] == NULL)
			{
				sums->squares[side] += x * x;
				sums->sum[side][column] += x;
			}
			else
			{
				/* Zeros not listed are added for all rows at once, below. */
				double		mean = sums->mean[side][column];

				sums->square[side][column] += (x - mean) * (x - mean) - mean * mean;
			}
		}
	}
}

static void
scale_add_rows(TrainData *data, ScaleSums *sums)
{
	const TrainRow *entries = train_rows_entries(data->rows);
	TrainRecord record;
	int			i;

	for (i = 0; i < data->training_count; i++)
	{
		const TrainRow *row = &entries[data->training[i]];

		CHECK_FOR_INTERRUPTS();
		train_record_parse(train_rows_read(data->rows, row, data->record), data->dimensions, &record);
		scale_add_row(&record, data->dimensions, sums);
	}
}

static double *
scale_new_sums(TrainData *data, int count)
{
	return MemoryContextAllocZero(data->context, count * sizeof(double));
}

/* One factor: 1 over the root mean square of all values. */
static void
scale_rms(TrainData *data, const ScaleSums *sums, Modality side)
{
	double		values = (double) data->training_count * data->dimensions[side];

	data->scale[side][0] = (float) (1.0 / sqrt(sums->squares[side] / values));
}

/* Each dimension by its mean and deviation; a constant one becomes 0. */
static void
scale_standard(TrainData *data, const ScaleSums *sums, Modality side)
{
	int			i;

	for (i = 0; i < data->dimensions[side]; i++)
	{
		double		mean = sums->mean[side][i];
		double		variance = sums->square[side][i] / data->training_count + mean * mean;

		/* What rounding leaves of a constant is no deviation. */
		data->shift[side][i] = (float) mean;
		data->scale[side][i] = variance > 1e-12 * mean * mean ?
			(float) (1.0 / sqrt(variance)) : 0;
		if (!isfinite(data->scale[side][i]))
			data->scale[side][i] = 0;
	}
}

/* Decide shift and scale, and which modality is handed over sparse. */
void
train_data_scale(TrainData *data, const TrainOptions *options)
{
	ScaleSums	sums;
	int			side;
	int			i;

	memset(&sums, 0, sizeof(sums));
	data->record = MemoryContextAlloc(data->context, train_rows_longest(data->rows));
	for (side = 0; side < 2; side++)
	{
		int			length = options->scale == TRAIN_SCALE_STANDARD ? data->dimensions[side] : 1;
		double		values = (double) train_rows_count(data->rows) * data->dimensions[side];

		data->scales[side] = length;
		data->shift[side] = MemoryContextAllocZero(data->context, length * sizeof(float));
		data->scale[side] = MemoryContextAlloc(data->context, length * sizeof(float));
		data->scale[side][0] = 1;
		data->sparse[side] = options->scale != TRAIN_SCALE_STANDARD &&
			train_rows_nonzeros(data->rows, side) < SPARSE_BELOW * values;
		sums.sum[side] = scale_new_sums(data, data->dimensions[side]);
		sums.square[side] = scale_new_sums(data, data->dimensions[side]);
	}
	if (options->scale == TRAIN_SCALE_NONE)
		return;

	scale_add_rows(data, &sums);
	if (options->scale == TRAIN_SCALE_STANDARD)
	{
		for (side = 0; side < 2; side++)
		{
			sums.mean[side] = sums.sum[side];
			for (i = 0; i < data->dimensions[side]; i++)
				sums.mean[side][i] /= data->training_count;
		}
		scale_add_rows(data, &sums);
	}
	for (side = 0; side < 2; side++)
	{
		if (options->scale == TRAIN_SCALE_STANDARD)
			scale_standard(data, &sums, side);
		else
			scale_rms(data, &sums, side);
	}
}

/* Work space for batches of that many rows. */
static void
batch_reserve(TrainData *data, int count)
{
	int			side;

	if (count <= data->batch_capacity)
		return;
	data->batch_capacity = count;
	for (side = 0; side < 2; side++)
	{
		if (data->dense[side] != NULL)
			pfree(data->dense[side]);
		if (data->row_start[side] != NULL)
			pfree(data->row_start[side]);
		data->dense[side] = NULL;
		if (!data->sparse[side])
			data->dense[side] = MemoryContextAllocHuge(data->context,
													   (Size) count * data->dimensions[side] * sizeof(float));
		data->row_start[side] = MemoryContextAllocHuge(data->context,
													   ((Size) count + 1) * sizeof(int32_t));
	}
	if (data->multi_hot != NULL)
		pfree(data->multi_hot);
	data->multi_hot = MemoryContextAllocHuge(data->context, (Size) count * Max(data->classes, 1));
}

static void
batch_reserve_list(TrainData *data, int side, size_t count)
{
	if (count <= data->list_capacity[side])
		return;
	count = Max(count, 2 * data->list_capacity[side]);
	if (data->column[side] == NULL)
	{
		data->column[side] = MemoryContextAllocHuge(data->context, count * sizeof(int32_t));
		data->value[side] = MemoryContextAllocHuge(data->context, count * sizeof(float));
	}
	else
	{
		data->column[side] = repalloc_huge(data->column[side], count * sizeof(int32_t));
		data->value[side] = repalloc_huge(data->value[side], count * sizeof(float));
	}
	data->list_capacity[side] = count;
}

/* Row `to` of the dense batch: x ← (x − shift)·scale. */
static void
batch_put_dense(TrainData *data, const TrainRecord *record, int side, int to)
{
	int			columns = data->dimensions[side];
	float	   *row = data->dense[side] + (size_t) to * columns;
	const float *value = record->value[side];
	const float *shift = data->shift[side];
	const float *scale = data->scale[side];
	int			i;

	if (record->listed[side] >= 0)
	{
		memset(row, 0, columns * sizeof(float));
		for (i = 0; i < record->listed[side]; i++)
			row[record->column[side][i]] = value[i];
		value = row;
	}
	if (data->scales[side] == 1)
	{
		float		factor = scale[0];

		for (i = 0; i < columns; i++)
			row[i] = value[i] * factor;
	}
	else
	{
		for (i = 0; i < columns; i++)
			row[i] = (value[i] - shift[i]) * scale[i];
	}
}

/* Append a row to the sparse batch; there is one scale and no shift then. */
static void
batch_put_sparse(TrainData *data, const TrainRecord *record, int side, int to)
{
	bool		listed = record->listed[side] >= 0;
	int			count = listed ? record->listed[side] : data->dimensions[side];
	int32_t    *row_start = data->row_start[side];
	float		factor = data->scale[side][0];
	size_t		at;
	int			i;

	if (to == 0)
		row_start[0] = 0;
	at = row_start[to];
	if (at + count > PG_INT32_MAX)
		elog(ERROR, "a batch of %d rows has too many values", to);
	batch_reserve_list(data, side, at + count);
	for (i = 0; i < count; i++)
	{
		float		x = record->value[side][i];

		if (x == 0)
			continue;
		data->column[side][at] = listed ? record->column[side][i] : i;
		data->value[side][at++] = x * factor;
	}
	row_start[to + 1] = (int32_t) at;
}

/* The rows of those numbers, in that order; features live until the next call. */
void
train_data_fetch(TrainData *data, const int32_t *numbers, int count,
				 Features features[2], const uint8_t **labels)
{
	const TrainRow *entries = train_rows_entries(data->rows);
	TrainRecord record;
	int			side;
	int			i;

	batch_reserve(data, count);
	for (i = 0; i < count; i++)
	{
		const TrainRow *row = &entries[numbers[i]];

		/* Rows come in random order, so the processor cannot guess the next ones. */
		if (i + 8 < count)
			__builtin_prefetch(&entries[numbers[i + 8]]);
		if (i + 2 < count && !entries[numbers[i + 2]].spilled)
			__builtin_prefetch(entries[numbers[i + 2]].where.memory);

		train_record_parse(train_rows_read(data->rows, row, data->record), data->dimensions, &record);
		for (side = 0; side < 2; side++)
		{
			if (data->sparse[side])
				batch_put_sparse(data, &record, side, i);
			else
				batch_put_dense(data, &record, side, i);
		}
		if (labels != NULL && data->labels != NULL)
			labels_multi_hot(data->labels, row->labels, data->multi_hot + (size_t) i * data->classes);
	}
	for (side = 0; side < 2; side++)
	{
		memset(&features[side], 0, sizeof(Features));
		features[side].rows = count;
		features[side].columns = data->dimensions[side];
		features[side].dense = data->dense[side];
		if (data->sparse[side])
		{
			features[side].row_start = data->row_start[side];
			features[side].column = data->column[side];
			features[side].value = data->value[side];
		}
	}
	if (labels != NULL)
		*labels = data->labels != NULL ? data->multi_hot : NULL;
}

/* BatchSource.fetch: the trainer numbers the training rows from 0. */
static void
batch_fetch_training(void *context, const int32_t *rows, int count,
					 Features *image, Features *text, const uint8_t **labels)
{
	TrainData  *data = context;
	Features	features[2];
	int32_t    *numbers = palloc(count * sizeof(int32_t));
	int			i;

	for (i = 0; i < count; i++)
		numbers[i] = data->training[rows[i]];
	train_data_fetch(data, numbers, count, features, labels);
	pfree(numbers);
	*image = features[MODALITY_IMAGE];
	*text = features[MODALITY_TEXT];
}

void
train_data_source(TrainData *data, BatchSource *source)
{
	memset(source, 0, sizeof(BatchSource));
	source->rows = data->training_count;
	source->image_columns = data->dimensions[MODALITY_IMAGE];
	source->text_columns = data->dimensions[MODALITY_TEXT];
	source->classes = data->classes;
	source->image_sparse = data->sparse[MODALITY_IMAGE];
	source->text_sparse = data->sparse[MODALITY_TEXT];
	source->fetch = batch_fetch_training;
	source->context = data;
}
