/*
 * core/learner.c: a network in training: memory, initial weights, forward and
 * backward through the layers and through B = tanh(a·H) and its unit rows.
 * The optimizers, which decide in what pieces weight gradients are made, are
 * core/sgd.c and core/adam.c.
 */
#include "core/trainer.h"

#include <math.h>
#include <string.h>

/* Lengths below this count as 0: unit vector 0, gradient 0. */
#define MIN_LENGTH 1e-12f

void
learner_reserve(Learner *learner, ArenaPlan *plan, TrainOptimizer optimizer,
				int inputs, int hidden, int outputs, bool sparse, int batch_size)
{
	size_t		units = (size_t) batch_size * hidden;
	size_t		bits = (size_t) batch_size * outputs;
	int			widest = hidden > outputs ? hidden : outputs;
	HiddenLayers layers = network_hidden(hidden);

	learner->env = plan->env;
	learner->count = network_parameters(inputs, &layers, outputs);
	learner->sparse = sparse;
	learner->parameters = arena_reserve(plan, learner->count, sizeof(float));
	if (learner->parameters != NULL)
		network_layout(&learner->network, inputs, &layers, outputs, learner->parameters, plan->env);
	learner->velocity = arena_reserve(plan, learner->count, sizeof(float));
	if (optimizer == OPTIMIZER_ADAM)
	{
		learner->second_moment = arena_reserve(plan, learner->count, sizeof(float));
		learner->gradient = arena_reserve(plan, learner->count, sizeof(float));
	}
	learner->hidden = arena_reserve(plan, units, sizeof(float));
	learner->hidden_gradient = arena_reserve(plan, units, sizeof(float));
	learner->output = arena_reserve(plan, bits, sizeof(float));
	learner->code = arena_reserve(plan, bits, sizeof(float));
	learner->unit = arena_reserve(plan, bits, sizeof(float));
	learner->gradient_unit = arena_reserve(plan, bits, sizeof(float));
	learner->length = arena_reserve(plan, batch_size, sizeof(float));
	learner->tile_size = widest > TRAIN_TILE ? widest : TRAIN_TILE;
	learner->tile = arena_reserve(plan, learner->tile_size, sizeof(float));
	if (sparse)
		column_index_reserve(&learner->index, plan, inputs);
}

/* Uniform in ±bound, numbered on from *index. */
static void
learner_fill_uniform(const CoreEnv *env, float *to, size_t count, double bound,
					 RandomKey key, uint64_t *index)
{
	size_t		i;

	for (i = 0; i < count; i++)
	{
		to[i] = (float) (bound * (2.0 * random_uniform(key, (*index)++) - 1));
		if (i % INTERRUPT_CHECK_FLOATS == INTERRUPT_CHECK_FLOATS - 1)
			env->interrupt();
	}
}

void
learner_initialise(Learner *learner, uint64_t seed, RandomPurpose purpose,
				   TrainInit init, double gain, bool biases)
{
	RandomKey	key = random_key(seed, 0, 0, purpose);
	uint64_t	index = 0;
	int			i;

	for (i = 0; i < learner->network.layers; i++)
	{
		Layer	   *layer = &learner->network.layer[i];
		double		fan = init == TRAIN_INIT_FAN_OUT ? layer->outputs : layer->inputs;
		double		bound = sqrt(gain / fan);

		learner_fill_uniform(learner->env, layer->weight, (size_t) layer->inputs * layer->outputs,
							 bound, key, &index);
		if (biases)
			learner_fill_uniform(learner->env, layer->bias, layer->outputs, bound, key, &index);
	}
}

/* Where the first layer's products go. */
float *
learner_first_output(const Learner *learner)
{
	return learner->network.layers == 2 ? learner->hidden : learner->output;
}

/* What follows the first layer's products: bias, ReLU and the second layer. */
void
learner_forward_rest(Learner *learner, int rows)
{
	const Layer *first = &learner->network.layer[0];
	const Layer *last = &learner->network.layer[learner->network.layers - 1];
	int			i;

	if (learner->network.layers == 2)
	{
		for (i = 0; i < rows; i++)
			vector_loops()->bias_relu(learner->hidden + (size_t) i * first->outputs, first->bias, first->outputs);
		/* H [m × K] = hidden [m × hidden] · W [hidden × K] */
		blas_product(learner->env, false, false, rows, last->outputs, last->inputs,
					 1, learner->hidden, last->inputs, last->weight, last->outputs,
					 0, learner->output, last->outputs);
	}
	for (i = 0; i < rows; i++)
		vector_loops()->add_scaled(learner->output + (size_t) i * last->outputs, 1, last->bias, last->outputs);
}

/* first [m × outputs of layer 0] = X·W */
void
learner_forward(Learner *learner, const Features *features)
{
	const Layer *layer = &learner->network.layer[0];
	float	   *first = learner_first_output(learner);
	int			i;

	if (features->dense != NULL)
		blas_product(learner->env, false, false, features->rows, layer->outputs, layer->inputs,
					 1, features->dense, layer->inputs, layer->weight, layer->outputs,
					 0, first, layer->outputs);
	else
	{
		memset(first, 0, (size_t) features->rows * layer->outputs * sizeof(float));
		for (i = 0; i < features->rows; i++)
		{
			int32_t		start = features->row_start[i];

			vector_loops()->add_rows(first + (size_t) i * layer->outputs, layer->weight,
									 layer->outputs, layer->outputs, features->value + start,
									 features->column + start, features->row_start[i + 1] - start);
			if (i % 8 == 7)
				learner->env->interrupt();
		}
	}
	learner_forward_rest(learner, features->rows);
}

/* B [m × K] = tanh(a·H), unit [m × K] its rows at unit length. */
bool
learner_activate(Learner *learner, int rows, float a)
{
	const VectorLoops *loops = vector_loops();
	int			bits = learner->network.outputs;
	bool		finite = true;
	int			i;
	int			k;

	for (i = 0; i < rows; i++)
	{
		float	   *code = learner->code + (size_t) i * bits;
		float	   *unit = learner->unit + (size_t) i * bits;
		float		length;
		float		factor;

		loops->tanh_scaled(code, a, learner->output + (size_t) i * bits, bits);
		length = sqrtf(loops->dot(code, code, bits));
		factor = length < MIN_LENGTH ? 0 : 1 / length;
		for (k = 0; k < bits; k++)
			unit[k] = factor * code[k];
		learner->length[i] = length;
		finite &= isfinite(length) != 0;
		if (i % 64 == 63)
			learner->env->interrupt();
	}
	return finite;
}

/*
 * Backward of learner_activate.  With u = b/‖b‖, dL/db = (g − u·(u·g))/‖b‖: only
 * what is perpendicular to b turns u; and dL/dH = a·(1 − B²)·dL/dB.
 */
void
learner_deactivate(Learner *learner, int rows, float a)
{
	const VectorLoops *loops = vector_loops();
	int			bits = learner->network.outputs;
	int			i;
	int			k;

	for (i = 0; i < rows; i++)
	{
		const float *code = learner->code + (size_t) i * bits;
		const float *unit = learner->unit + (size_t) i * bits;
		float	   *gradient = learner->gradient_unit + (size_t) i * bits;
		float		along = loops->dot(unit, gradient, bits);
		float		factor = learner->length[i] < MIN_LENGTH ? 0 : a / learner->length[i];

		for (k = 0; k < bits; k++)
			gradient[k] = factor * (1 - code[k] * code[k]) * (gradient[k] - along * unit[k]);
	}
}

/* d hidden [m × hidden] = dH [m × K] · Wᵀ [K × hidden], where the unit was active. */
void
learner_hidden_gradient(Learner *learner, int rows)
{
	const Layer *last = &learner->network.layer[1];
	size_t		chunk = INTERRUPT_CHECK_FLOATS;
	size_t		total = (size_t) rows * last->inputs;
	size_t		i;

	blas_product(learner->env, false, true, rows, last->inputs, last->outputs,
				 1, learner->gradient_unit, last->outputs, last->weight, last->outputs,
				 0, learner->hidden_gradient, last->inputs);
	for (i = 0; i < total; i += chunk)
	{
		vector_loops()->mask_relu(learner->hidden_gradient + i, learner->hidden + i,
								  total - i < chunk ? total - i : chunk);
		learner->env->interrupt();
	}
}

void
column_sums(const float *matrix, int rows, int columns, float *sums)
{
	int			i;

	memset(sums, 0, columns * sizeof(float));
	for (i = 0; i < rows; i++)
		vector_loops()->add_scaled(sums, 1, matrix + (size_t) i * columns, columns);
}

/* x − x is 0, or NaN for an infinity or a NaN. */
bool
learner_finite(const Learner *learner)
{
	size_t		start;
	size_t		i;

	for (start = 0; start < learner->count; start += INTERRUPT_CHECK_FLOATS)
	{
		size_t		end = start + INTERRUPT_CHECK_FLOATS < learner->count ? start + INTERRUPT_CHECK_FLOATS : learner->count;
		int			bad = 0;

		for (i = start; i < end; i++)
			bad += !(learner->parameters[i] - learner->parameters[i] == 0);
		if (bad > 0)
			return false;
		learner->env->interrupt();
	}
	return true;
}
