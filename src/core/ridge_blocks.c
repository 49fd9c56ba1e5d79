/*
 * core/ridge_blocks.c: what kernel ridge hashing goes through its rows with:
 * blocks of rows, their features, and sums over all of them.
 */
#include "core/method_kernel_ridge.h"

#include <math.h>
#include <string.h>

#define RIDGE_FLUSH 8			/* blocks that are summed in float */

void
block_sum_reserve(BlockSum *sum, ArenaPlan *plan, size_t count)
{
	sum->count = count;
	sum->blocks = 0;
	sum->partial = arena_reserve(plan, count, sizeof(float));
	sum->total = arena_reserve(plan, count, sizeof(double));
}

void
block_sum_begin(const CoreEnv *env, BlockSum *sum)
{
	size_t		i;

	sum->blocks = 0;
	for (i = 0; i < sum->count; i++)
	{
		sum->total[i] = 0;
		if (i % INTERRUPT_CHECK_FLOATS == INTERRUPT_CHECK_FLOATS - 1)
			env->interrupt();
	}
}

/* A block's product is in partial: the first replaced what was there, the others were added to it. */
void
block_sum_added(const CoreEnv *env, BlockSum *sum)
{
	if (++sum->blocks == RIDGE_FLUSH)
		block_sum_flush(env, sum);
}

void
block_sum_flush(const CoreEnv *env, BlockSum *sum)
{
	size_t		i;

	if (sum->blocks == 0)
		return;
	for (i = 0; i < sum->count; i++)
	{
		sum->total[i] += sum->partial[i];
		if (i % INTERRUPT_CHECK_FLOATS == INTERRUPT_CHECK_FLOATS - 1)
			env->interrupt();
	}
	sum->blocks = 0;
}

/* Add the lower half of XᵀX, X [rows × n]. */
void
block_sum_add_square(const CoreEnv *env, BlockSum *sum, const float *x, int rows, int n)
{
	blas_square(env, rows, n, x, sum->blocks > 0, sum->partial);
	block_sum_added(env, sum);
}

/*
 * Rows from … of the training set, or of an order of it: at most a block, and
 * none from `to` on.  Returns where the next block begins.
 */
int
ridge_fetch(Trainer *trainer, const int32_t *order, int from, int to,
			Features features[2], const uint8_t **labels)
{
	RidgeState *state = ridge_state(trainer);
	int			count = to - from < state->block ? to - from : state->block;
	int			i;

	for (i = 0; i < count; i++)
		state->numbers_of_block[i] = order != NULL ? order[from + i] : from + i;
	trainer->source.fetch(trainer->source.context, state->numbers_of_block, count, &features[0], &features[1], labels);
	trainer->env.interrupt();
	return from + count;
}

/* A random order of the rows, of this purpose. */
void
ridge_shuffle(Trainer *trainer, int step, RandomPurpose purpose)
{
	int32_t    *permutation = ridge_state(trainer)->permutation;
	RandomKey	key = random_key(trainer->options.seed, 0, step, purpose);
	int			chunk = 1 << 20;
	int			i;

	for (i = 0; i < trainer->source.rows; i++)
		permutation[i] = i;
	for (i = trainer->source.rows; i > 0; i -= chunk)
	{
		random_shuffle(key, permutation, i > chunk ? i - chunk : 0, i);
		trainer->env.interrupt();
		if (i <= chunk)
			break;
	}
}

void
ridge_unit_rows(const CoreEnv *env, float *matrix, int rows, int columns)
{
	int			i;
	int			k;

	for (i = 0; i < rows; i++)
	{
		float	   *row = matrix + (size_t) i * columns;
		float		length = sqrtf(vector_loops()->dot(row, row, columns));
		float		factor = length < NETWORK_MIN_LENGTH ? 0 : 1 / length;

		for (k = 0; k < columns; k++)
			row[k] *= factor;
		if (i % 256 == 255)
			env->interrupt();
	}
}

/* u [rows × d] of a block. */
static void
ridge_units(const CoreEnv *env, const Features *features, float *u)
{
	int			columns = features->columns;
	int			i;
	int			j;

	for (i = 0; i < features->rows; i++)
	{
		float		factor = (float) features_inverse_length(features, i);
		float	   *to = u + (size_t) i * columns;

		if (features->dense != NULL)
			for (j = 0; j < columns; j++)
				to[j] = factor * features->dense[(size_t) i * columns + j];
		else
		{
			memset(to, 0, columns * sizeof(float));
			for (j = features->row_start[i]; j < features->row_start[i + 1]; j++)
				to[features->column[j]] = factor * features->value[j];
		}
		if (i % 64 == 63)
			env->interrupt();
	}
}

/*
 * g − centre [rows × n] of a block: of the rows from … of the training set, or
 * of others (−1).  What is kept of the former is the same as computed again.
 */
const float *
ridge_features(const CoreEnv *env, RidgeSide *side, const Features *features, int from)
{
	float	   *g = from >= 0 && side->kept != NULL ? side->kept + (size_t) from * side->units : side->g;
	int			i;

	if (from >= 0 && side->is_kept)
		return g;
	if (side->network.kernel == KERNEL_RBF)
	{
		features_inverse_lengths(env, features, side->inverse);
		rbf_forward(env, &side->network.layer[0], features, side->inverse, g);
	}
	else
		ridge_units(env, features, g);
	for (i = 0; i < features->rows; i++)
		vector_loops()->add_scaled(g + (size_t) i * side->units, -1, side->centre, side->units);
	return g;
}

/* Add up rows of a block, in double. */
void
ridge_add_columns(const float *matrix, int rows, int columns, double *sums)
{
	int			i;
	int			j;

	for (i = 0; i < rows; i++)
		for (j = 0; j < columns; j++)
			sums[j] += matrix[(size_t) i * columns + j];
}
