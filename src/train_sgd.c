/*
 * train_sgd.c: stochastic gradient descent with momentum and weight decay,
 *
 *     v ← momentum·v + (g + decay·w),    w ← w − rate·v,
 *
 * for a network's weights and biases.  The step reads and writes each weight
 * and its velocity once, in the same pass, while the piece of gradient they
 * need is still in the cache: with layers of millions of weights, memory
 * traffic costs more than the products.
 *
 * Sparse features go further.  An input that is zero in the whole batch gives
 * its row of weights no gradient, and the step is then linear in (w, v):
 *
 *     (w, v) ← A·(w, v),   A = | 1 − rate·decay   −rate·momentum |
 *                              | decay             momentum      |
 *
 * so n such steps are one multiplication with Aⁿ.  A row is brought up to date
 * when a batch uses it, and every row at the epoch's end; a batch of 32 captions
 * then moves some 200 of 1,000 rows.  Between epochs nothing is outstanding, so
 * what a checkpoint holds does not depend on when it is taken.
 */
#include "trainer.h"

#include <string.h>

/* Outputs of a sparse layer that are handled together. */
#define SPARSE_TILE 512

/* Outputs of a dense layer that are handled together. */
#define TILE_SIDE 256

void
sgd_claim(Learner *learner, Claims *claims, int inputs, int steps)
{
	learner->lazy.done = claim(claims, inputs, sizeof(int32_t));
	learner->lazy.single = claim(claims, LAZY_TABLE, sizeof(*learner->lazy.single));
	learner->lazy.multiple = claim(claims, (size_t) steps / LAZY_TABLE + 1, sizeof(*learner->lazy.multiple));
}

/* c = a·b, 2×2 row-major. */
static void
multiply(double c[4], const double a[4], const double b[4])
{
	double		product[4];

	product[0] = a[0] * b[0] + a[1] * b[2];
	product[1] = a[0] * b[1] + a[1] * b[3];
	product[2] = a[2] * b[0] + a[3] * b[2];
	product[3] = a[2] * b[1] + a[3] * b[3];
	memcpy(c, product, sizeof(product));
}

/* powers[i] = baseⁱ */
static void
fill_powers(double (*powers)[4], int count, const double base[4])
{
	static const double identity[4] = {1, 0, 0, 1};
	int			i;

	memcpy(powers[0], identity, sizeof(identity));
	for (i = 1; i < count; i++)
		multiply(powers[i], powers[i - 1], base);
}

/* Table the powers of an untouched step. */
void
sgd_prepare(Learner *learner, const SgdStep *step, int steps)
{
	double		rate = step->rate;
	double		momentum = step->momentum;
	double		decay = step->decay;
	double		base[4] = {1 - rate * decay, -rate * momentum, decay, momentum};
	double		large[4];

	if (learner->lazy.done == NULL)
		return;
	fill_powers(learner->lazy.single, LAZY_TABLE, base);
	multiply(large, learner->lazy.single[LAZY_TABLE - 1], base);
	fill_powers(learner->lazy.multiple, steps / LAZY_TABLE + 1, large);
}

/* Bring columns from … of a row of the first layer from the steps it has seen to step. */
static void
catch_up(Learner *learner, int row, int step, int from, int count)
{
	const LazySteps *lazy = &learner->lazy;
	int			n = step - lazy->done[row];
	size_t		at = (size_t) row * learner->network.layer[0].outputs + from;
	double		power[4];

	if (n == 0)
		return;
	multiply(power, lazy->multiple[n / LAZY_TABLE], lazy->single[n % LAZY_TABLE]);
	vector_loops()->rotate(learner->parameters + at, learner->velocity + at,
						   power[0], power[1], power[2], power[3], count);
}

/*
 * first [m × outputs] = X·W for sparse X, catching up the rows that it uses.
 * A tile of the outputs at a time: its weights stay in the cache from being
 * caught up to being added, by as many rows of the batch as want them.
 */
static void
forward_sparse(Learner *learner, const Features *features, int step)
{
	const Layer *layer = &learner->network.layer[0];
	const ColumnIndex *index = &learner->index;
	float	   *first = learner_first_output(learner);
	int			from;
	int			i;

	memset(first, 0, (size_t) features->rows * layer->outputs * sizeof(float));
	for (from = 0; from < layer->outputs; from += SPARSE_TILE)
	{
		int			count = layer->outputs - from < SPARSE_TILE ? layer->outputs - from : SPARSE_TILE;

		for (i = 0; i < index->columns; i++)
			catch_up(learner, index->column[i], step, from, count);
		for (i = 0; i < features->rows; i++)
		{
			int32_t		start = features->row_start[i];

			vector_loops()->add_rows(first + (size_t) i * layer->outputs + from, layer->weight + from,
									 layer->outputs, count, features->value + start,
									 features->column + start, features->row_start[i + 1] - start);
			if (i % 32 == 31)
				learner->surroundings->interrupt();
		}
		learner->surroundings->interrupt();
	}
	for (i = 0; i < index->columns; i++)
		learner->lazy.done[index->column[i]] = step;
}

/* H of a batch; sparse rows of weights as they are after `step` steps of this epoch. */
void
sgd_forward(Learner *learner, const Features *features, int step)
{
	if (!learner->sparse)
	{
		learner_forward(learner, features);
		return;
	}
	column_index_build(learner->surroundings, &learner->index, features);
	forward_sparse(learner, features, step);
	learner_forward_rest(learner, features->rows);
}

/*
 * Step of a layer with dense inputs: dW [inputs × outputs] = Xᵀ [inputs × m] ·
 * dY [m × outputs], in tiles, as square as may be: a tile's product reads its
 * columns of X and of dY.
 */
static void
step_dense(Learner *learner, const Layer *layer, const float *inputs, const float *gradient,
		   int rows, const SgdStep *sgd)
{
	int			width = layer->outputs < TILE_SIDE ? layer->outputs : TILE_SIDE;
	int			height = TRAIN_TILE / width;
	int			from;
	int			left;
	int			i;

	for (from = 0; from < layer->inputs; from += height)
		for (left = 0; left < layer->outputs; left += width)
		{
			int			count = layer->inputs - from < height ? layer->inputs - from : height;
			int			columns = layer->outputs - left < width ? layer->outputs - left : width;
			float	   *weight = layer->weight + (size_t) from * layer->outputs + left;
			float	   *velocity = learner->velocity + (weight - learner->parameters);

			blas_product(learner->surroundings, true, false, count, columns, rows,
						 1, inputs + from, layer->inputs, gradient + left, layer->outputs,
						 0, learner->tile, columns);
			if (columns == layer->outputs)
				vector_loops()->sgd(weight, velocity, learner->tile, sgd, (size_t) count * columns);
			else
				for (i = 0; i < count; i++)
					vector_loops()->sgd(weight + (size_t) i * layer->outputs, velocity + (size_t) i * layer->outputs,
										learner->tile + (size_t) i * columns, sgd, columns);
		}
}

/* Step of the sparse first layer's rows that the batch uses; dY [m × outputs]. */
static void
step_sparse(Learner *learner, const float *gradient, const SgdStep *sgd, int step)
{
	const Layer *layer = &learner->network.layer[0];
	const ColumnIndex *index = &learner->index;
	float		sum[SPARSE_TILE];
	int			from;
	int			i;

	for (from = 0; from < layer->outputs; from += SPARSE_TILE)
	{
		int			count = layer->outputs - from < SPARSE_TILE ? layer->outputs - from : SPARSE_TILE;

		for (i = 0; i < index->columns; i++)
		{
			size_t		at = (size_t) index->column[i] * layer->outputs + from;
			int32_t		start = index->start[i];

			memset(sum, 0, count * sizeof(float));
			vector_loops()->add_rows(sum, gradient + from, layer->outputs, count,
									 index->value + start, index->row + start,
									 index->start[i + 1] - start);
			vector_loops()->sgd(learner->parameters + at, learner->velocity + at, sum, sgd, count);
			if (i % 64 == 63)
				learner->surroundings->interrupt();
		}
		learner->surroundings->interrupt();
	}
	for (i = 0; i < index->columns; i++)
		learner->lazy.done[index->column[i]] = step + 1;
}

static void
step_bias(Learner *learner, const Layer *layer, const float *gradient, int rows, const SgdStep *sgd)
{
	column_sums(gradient, rows, layer->outputs, learner->tile);
	vector_loops()->sgd(layer->bias, learner->velocity + (layer->bias - learner->parameters),
						learner->tile, sgd, layer->outputs);
}

/* One step from dL/dH in gradient_unit, on the batch of the last sgd_forward(). */
void
sgd_step(Learner *learner, const Features *features, const SgdStep *sgd, int step)
{
	const Network *network = &learner->network;
	const float *gradient = learner->gradient_unit;
	int			rows = features->rows;

	if (network->layers == 2)
	{
		learner_hidden_gradient(learner, rows); /* needs the weights as they were */
		step_dense(learner, &network->layer[1], learner->hidden, gradient, rows, sgd);
		step_bias(learner, &network->layer[1], gradient, rows, sgd);
		gradient = learner->hidden_gradient;
	}
	if (learner->sparse)
		step_sparse(learner, gradient, sgd, step);
	else
		step_dense(learner, &network->layer[0], features->dense, gradient, rows, sgd);
	step_bias(learner, &network->layer[0], gradient, rows, sgd);
}

/* Bring every row up to date: nothing is outstanding between epochs. */
void
sgd_finish_epoch(Learner *learner, int steps)
{
	const Layer *layer = &learner->network.layer[0];
	size_t		work = 0;
	int			i;

	if (learner->lazy.done == NULL)
		return;
	for (i = 0; i < layer->inputs; i++)
	{
		catch_up(learner, i, steps, 0, layer->outputs);
		learner->lazy.done[i] = 0;
		work += layer->outputs;
		if (work >= TRAIN_PATIENCE)
		{
			learner->surroundings->interrupt();
			work = 0;
		}
	}
}
