/*
 * core/sgd.c: stochastic gradient descent with momentum and weight decay,
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
 * when a batch moves it, and every row at the epoch's end; a batch of 32 captions
 * then moves some 200 of 1,000 rows.  Between epochs nothing is outstanding, so
 * what a checkpoint holds does not depend on when it is taken.
 */
#include "core/trainer.h"

#include <string.h>

/* Outputs of a dense layer that are handled together. */
#define TILE_SIDE 256

void
sgd_reserve(Learner *learner, ArenaPlan *plan, int inputs, int steps)
{
	if (!learner->sparse)
		return;
	learner->lazy.done = arena_reserve(plan, inputs, sizeof(int32_t));
	learner->lazy.single = arena_reserve(plan, LAZY_TABLE, sizeof(*learner->lazy.single));
	learner->lazy.multiple = arena_reserve(plan, (size_t) steps / LAZY_TABLE + 1, sizeof(*learner->lazy.multiple));
}

/* c = a·b, 2×2 row-major. */
static void
sgd_multiply(double c[4], const double a[4], const double b[4])
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
sgd_fill_powers(double (*powers)[4], int count, const double base[4])
{
	static const double identity[4] = {1, 0, 0, 1};
	int			i;

	memcpy(powers[0], identity, sizeof(identity));
	for (i = 1; i < count; i++)
		sgd_multiply(powers[i], powers[i - 1], base);
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
	sgd_fill_powers(learner->lazy.single, LAZY_TABLE, base);
	sgd_multiply(large, learner->lazy.single[LAZY_TABLE - 1], base);
	sgd_fill_powers(learner->lazy.multiple, steps / LAZY_TABLE + 1, large);
}

/* What n untouched steps do to a row. */
static void
sgd_untouched_steps(const LazySteps *lazy, int n, double power[4])
{
	sgd_multiply(power, lazy->multiple[n / LAZY_TABLE], lazy->single[n % LAZY_TABLE]);
}

/*
 * A row of the first layer's weights [outputs] as it is after `step` steps,
 * with what is outstanding worked out beside it: sgd_step() will write the row
 * anyway, and writing large layers twice costs more than computing twice.
 */
static const float *
sgd_current_row(const Learner *learner, int row, int step)
{
	int			outputs = learner->network.layer[0].outputs;
	const float *weight = learner->network.layer[0].weight + (size_t) row * outputs;
	int			n = step - learner->lazy.done[row];
	double		power[4];

	if (n == 0)
		return weight;
	sgd_untouched_steps(&learner->lazy, n, power);
	vector_loops()->combine(learner->tile, power[0], weight, power[1],
							learner->velocity + (weight - learner->parameters), outputs);
	return learner->tile;
}

/*
 * first [m × outputs] = X·W for sparse X.  Word by word, each added to the rows
 * of the batch that have it: a row of W is read once, from end to end, and
 * stays in the cache meanwhile.
 */
static void
sgd_forward_sparse(Learner *learner, const Features *features, int step)
{
	const ColumnIndex *index = &learner->index;
	float	   *first = learner_first_output(learner);
	int			outputs = learner->network.layer[0].outputs;
	size_t		work = 0;
	int			i;
	int			j;

	memset(first, 0, (size_t) features->rows * outputs * sizeof(float));
	for (i = 0; i < index->columns; i++)
	{
		const float *weight = sgd_current_row(learner, index->column[i], step);

		for (j = index->start[i]; j < index->start[i + 1]; j++)
			vector_loops()->add_scaled(first + (size_t) index->row[j] * outputs, index->value[j], weight, outputs);
		work += (size_t) (index->start[i + 1] - index->start[i] + 1) * outputs;
		if (work >= INTERRUPT_CHECK_FLOATS)
		{
			learner->env->interrupt();
			work = 0;
		}
	}
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
	column_index_build(learner->env, &learner->index, features);
	sgd_forward_sparse(learner, features, step);
	learner_forward_rest(learner, features->rows);
}

/*
 * Step of a layer with dense inputs: dW [inputs × outputs] = Xᵀ [inputs × m] ·
 * dY [m × outputs], in tiles, as square as may be: a tile's product reads its
 * columns of X and of dY.
 */
static void
sgd_step_dense(Learner *learner, const Layer *layer, const float *inputs, const float *gradient,
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

			blas_product(learner->env, true, false, count, columns, rows,
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

/*
 * Step of the sparse first layer's rows that the batch uses; dY [m × outputs].
 * Steps that are outstanding and this one are one pass over row and velocity:
 * with Aⁿ·(w, v) = (w', v'), this step gives A·(w', v') + (−rate·g, g).
 */
static void
sgd_step_sparse(Learner *learner, const float *gradient, const SgdStep *sgd, int step)
{
	const VectorLoops *loops = vector_loops();
	const Layer *layer = &learner->network.layer[0];
	const ColumnIndex *index = &learner->index;
	size_t		work = 0;
	int			i;

	for (i = 0; i < index->columns; i++)
	{
		int			row = index->column[i];
		int			n = step - learner->lazy.done[row];
		int			count = index->start[i + 1] - index->start[i];
		float	   *weight = layer->weight + (size_t) row * layer->outputs;
		float	   *velocity = learner->velocity + (weight - learner->parameters);
		double		power[4];

		memset(learner->tile, 0, layer->outputs * sizeof(float));
		loops->add_rows(learner->tile, gradient, layer->outputs, layer->outputs,
						index->value + index->start[i], index->row + index->start[i], count);
		if (n == 0)
			loops->sgd(weight, velocity, learner->tile, sgd, layer->outputs);
		else
		{
			sgd_untouched_steps(&learner->lazy, n + 1, power);
			loops->rotate(weight, velocity, power[0], power[1], power[2], power[3],
						  learner->tile, sgd->rate, layer->outputs);
		}
		learner->lazy.done[row] = step + 1;
		work += (size_t) (count + 2) * layer->outputs;
		if (work >= INTERRUPT_CHECK_FLOATS)
		{
			learner->env->interrupt();
			work = 0;
		}
	}
}

static void
sgd_step_bias(Learner *learner, const Layer *layer, const float *gradient, int rows, const SgdStep *sgd)
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
		sgd_step_dense(learner, &network->layer[1], learner->hidden, gradient, rows, sgd);
		sgd_step_bias(learner, &network->layer[1], gradient, rows, sgd);
		gradient = learner->hidden_gradient;
	}
	if (learner->sparse)
		sgd_step_sparse(learner, gradient, sgd, step);
	else
		sgd_step_dense(learner, &network->layer[0], features->dense, gradient, rows, sgd);
	sgd_step_bias(learner, &network->layer[0], gradient, rows, sgd);
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
		int			n = steps - learner->lazy.done[i];
		float	   *weight = layer->weight + (size_t) i * layer->outputs;
		double		power[4];

		learner->lazy.done[i] = 0;
		if (n == 0)
			continue;
		sgd_untouched_steps(&learner->lazy, n, power);
		vector_loops()->rotate(weight, learner->velocity + (weight - learner->parameters),
							   power[0], power[1], power[2], power[3], NULL, 0, layer->outputs);
		work += layer->outputs;
		if (work >= INTERRUPT_CHECK_FLOATS)
		{
			learner->env->interrupt();
			work = 0;
		}
	}
}
