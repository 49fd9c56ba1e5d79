/*
 * core/adam.c: Adam with bias correction, decoupled weight decay and a bound
 * on the gradient's norm over all of a network's weights and biases.
 *
 *     g ← g·min(1, clip/(‖g‖ + 1e-6)),
 *     m ← β1·m + (1 − β1)·g,   v ← β2·v + (1 − β2)·g²,
 *     w ← w − rate·(m̂/(√v̂ + ε) + decay·w),   m̂ = m/(1 − β1^t),  v̂ = v/(1 − β2^t).
 *
 * The norm must be known before the first weight moves, so the whole gradient
 * is kept.  Of a sparse first layer only the rows of inputs that occur in the
 * batch are written and read; the others' gradient is known to be 0.  (Their
 * weights move all the same, and not linearly: no catching up as in SGD.)
 */
#include "core/trainer.h"

#include <math.h>
#include <string.h>

/* Gradient array's place of something laid out like the parameters. */
static float *
adam_gradient_of(const Learner *learner, const float *parameter)
{
	return learner->gradient + (parameter - learner->parameters);
}

/* dW [inputs × outputs] = Xᵀ [inputs × m] · dY [m × outputs], db = Σ dY. */
static void
adam_layer_backward(const Learner *learner, const Layer *layer, const float *inputs,
					const float *gradient, int rows)
{
	blas_product(learner->env, true, false, layer->inputs, layer->outputs, rows,
				 1, inputs, layer->inputs, gradient, layer->outputs,
				 0, adam_gradient_of(learner, layer->weight), layer->outputs);
	column_sums(gradient, rows, layer->outputs, adam_gradient_of(learner, layer->bias));
}

/* The same for the sparse first layer: rows of dW that are not zero. */
static void
adam_sparse_backward(const Learner *learner, const float *gradient, int rows)
{
	const Layer *layer = &learner->network.layer[0];
	const ColumnIndex *index = &learner->index;
	float	   *weight_gradient = adam_gradient_of(learner, layer->weight);
	size_t		work = 0;
	int			i;

	for (i = 0; i < index->columns; i++)
	{
		float	   *row = weight_gradient + (size_t) index->column[i] * layer->outputs;
		int32_t		start = index->start[i];
		int			count = index->start[i + 1] - start;

		memset(row, 0, layer->outputs * sizeof(float));
		vector_loops()->add_rows(row, gradient, layer->outputs, layer->outputs,
								 index->value + start, index->row + start, count);
		work += (size_t) (count + 1) * layer->outputs;
		if (work >= INTERRUPT_CHECK_FLOATS)
		{
			learner->env->interrupt();
			work = 0;
		}
	}
	column_sums(gradient, rows, layer->outputs, adam_gradient_of(learner, layer->bias));
}

/* The network's gradient from dL/dH in gradient_unit, on the batch of the last forward. */
void
adam_backward(Learner *learner, const Features *features)
{
	const Network *network = &learner->network;
	const float *gradient = learner->gradient_unit;

	if (network->layers == 2)
	{
		learner_hidden_gradient(learner, features->rows);
		adam_layer_backward(learner, &network->layer[1], learner->hidden, gradient, features->rows);
		gradient = learner->hidden_gradient;
	}
	if (learner->sparse)
	{
		column_index_build(learner->env, &learner->index, features);
		adam_sparse_backward(learner, gradient, features->rows);
	}
	else
		adam_layer_backward(learner, &network->layer[0], features->dense, gradient, features->rows);
}

/* Σ g² over count floats: float lanes within a tile, double beyond. */
static double
adam_square_sum(const Learner *learner, const float *gradient, size_t count)
{
	double		sum = 0;
	size_t		start;

	for (start = 0; start < count; start += TRAIN_TILE)
	{
		size_t		length = count - start < TRAIN_TILE ? count - start : TRAIN_TILE;

		sum += vector_loops()->dot(gradient + start, gradient + start, length);
		if (start % INTERRUPT_CHECK_FLOATS == 0)
			learner->env->interrupt();
	}
	return sum;
}

/* Of the whole gradient; of a sparse first layer, of the rows that are there. */
static double
adam_gradient_norm(const Learner *learner)
{
	const Layer *first = &learner->network.layer[0];
	size_t		skip = learner->sparse ? (size_t) first->inputs * first->outputs : 0;
	double		sum = adam_square_sum(learner, learner->gradient + skip, learner->count - skip);
	int			i;

	if (learner->sparse)
		for (i = 0; i < learner->index.columns; i++)
		{
			const float *row = learner->gradient + (size_t) learner->index.column[i] * first->outputs;

			sum += adam_square_sum(learner, row, first->outputs);
		}
	return sqrt(sum);
}

/* Parameters from … with the gradient there, or with none. */
static void
adam_range(Learner *learner, const AdamStep *step, size_t from, size_t count, bool none)
{
	size_t		start;

	for (start = from; start < from + count; start += INTERRUPT_CHECK_FLOATS)
	{
		size_t		rest = from + count - start;

		vector_loops()->adam(learner->parameters + start, learner->velocity + start,
							 learner->second_moment + start, none ? NULL : learner->gradient + start,
							 step, rest < INTERRUPT_CHECK_FLOATS ? rest : INTERRUPT_CHECK_FLOATS);
		if (rest >= INTERRUPT_CHECK_FLOATS)
			learner->env->interrupt();
	}
}

/* Rows of the sparse first layer: runs with a gradient and runs without. */
static void
adam_sparse(Learner *learner, const AdamStep *step)
{
	const Layer *first = &learner->network.layer[0];
	const ColumnIndex *index = &learner->index;
	size_t		width = first->outputs;
	int			next = 0;		/* the first row not yet stepped */
	int			i;

	for (i = 0; i <= index->columns; i++)
	{
		int			column = i < index->columns ? index->column[i] : first->inputs;

		adam_range(learner, step, next * width, (column - next) * width, true);
		if (i < index->columns)
			adam_range(learner, step, column * width, width, false);
		next = column + 1;
		if (i * width % INTERRUPT_CHECK_FLOATS < width)
			learner->env->interrupt();
	}
}

/* Move the weights; step's gradient_factor is worked out here. */
void
adam_step(Learner *learner, const AdamStep *step, double clip_norm)
{
	const Layer *first = &learner->network.layer[0];
	size_t		skip = learner->sparse ? (size_t) first->inputs * first->outputs : 0;
	AdamStep	clipped = *step;

	clipped.gradient_factor = 1;
	if (clip_norm > 0)
		clipped.gradient_factor = fmin(1, clip_norm / (adam_gradient_norm(learner) + 1e-6));
	if (learner->sparse)
		adam_sparse(learner, &clipped);
	adam_range(learner, &clipped, skip, learner->count - skip, false);
}
