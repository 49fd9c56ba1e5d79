/*
 * core/network.c: a network's place in memory, and its forward pass.
 */
#include "core/network.h"

#include "core/blas.h"
#include "core/vector.h"

#include <math.h>
#include <string.h>

/* Sums that a row's terms are dealt out to, so that one need not wait for another. */
#define LANES 8

/* Fewer dense rows than this go through loops of our own: no BLAS, no packing. */
#define FEW_ROWS 4

static size_t
layer_parameters(int inputs, int outputs)
{
	return ((size_t) inputs + 1) * outputs;
}

HiddenLayers
network_hidden(int units)
{
	HiddenLayers hidden = {0};

	if (units > 0)
	{
		hidden.count = 1;
		hidden.units[0] = units;
	}
	return hidden;
}

HiddenLayers
network_kernel(int anchors)
{
	HiddenLayers hidden = network_hidden(anchors);

	hidden.kernel = anchors > 0 ? KERNEL_RBF : KERNEL_LINEAR;
	return hidden;
}

int
network_units(const HiddenLayers *hidden)
{
	int			units = 0;
	int			i;

	for (i = 0; i < hidden->count; i++)
		units += hidden->units[i];
	return units;
}

size_t
network_parameters(int inputs, const HiddenLayers *hidden, int outputs)
{
	size_t		count = 0;
	int			i;

	for (i = 0; i < hidden->count; i++)
	{
		count += layer_parameters(inputs, hidden->units[i]);
		inputs = hidden->units[i];
	}
	return count + layer_parameters(inputs, outputs);
}

/* Take a layer's share of the parameters; returns what follows it. */
static float *
layer_layout(Layer *layer, int inputs, int outputs, float *parameters)
{
	layer->inputs = inputs;
	layer->outputs = outputs;
	layer->weight = parameters;
	layer->bias = parameters + (size_t) inputs * outputs;
	return layer->bias + outputs;
}

void
network_layout(Network *network, int inputs, const HiddenLayers *hidden, int outputs,
			   float *parameters, const CoreEnv *env)
{
	int			i;

	if (parameters == NULL)
		parameters = env->allocate(env->arena,
								   network_parameters(inputs, hidden, outputs) * sizeof(float));
	memset(network, 0, sizeof(*network));
	network->inputs = inputs;
	network->units = network_units(hidden);
	network->outputs = outputs;
	network->layers = hidden->count + 1;
	network->kernel = hidden->kernel;
	for (i = 0; i < hidden->count; i++)
	{
		parameters = layer_layout(&network->layer[i], inputs, hidden->units[i], parameters);
		inputs = hidden->units[i];
	}
	layer_layout(&network->layer[i], inputs, outputs, parameters);
}

/* Few dense rows, or sparse ones: a vector times a matrix, row by row. */
static void
layer_product_by_rows(const CoreEnv *env, const Layer *layer, const Features *features,
					  float *outputs)
{
	const VectorLoops *loops = vector_loops();
	size_t		work = 0;
	int			i;

	for (i = 0; i < features->rows; i++)
	{
		const float *x;
		const int32_t *index = NULL;
		int			count = features->columns;

		if (features->dense != NULL)
			x = features->dense + (size_t) i * features->columns;
		else
		{
			int32_t		start = features->row_start[i];

			x = features->value + start;
			index = features->column + start;
			count = features->row_start[i + 1] - start;
		}
		loops->add_rows(outputs + (size_t) i * layer->outputs, layer->weight, layer->outputs,
						layer->outputs, x, index, count);
		work += (size_t) count * layer->outputs;
		if (work >= INTERRUPT_CHECK_PRODUCTS)
		{
			env->interrupt();
			work = 0;
		}
	}
}

/* outputs [rows × layer outputs] = X [rows × inputs] · W [inputs × outputs], without the bias. */
static void
layer_product(const CoreEnv *env, const Layer *layer, const Features *features,
			  float *outputs)
{
	if (features->dense != NULL && features->rows >= FEW_ROWS && blas_loaded())
		blas_product(env, false, false, features->rows, layer->outputs, layer->inputs,
					 1, features->dense, layer->inputs, layer->weight, layer->outputs,
					 0, outputs, layer->outputs);
	else
	{
		memset(outputs, 0, (size_t) features->rows * layer->outputs * sizeof(float));
		layer_product_by_rows(env, layer, features, outputs);
	}
}

/*
 * In double, and each value's square added to the lane of its column, so that
 * neither how a row is stored nor its scale makes a difference.
 */
double
inverse_length(const float *value, const int32_t *column, int count)
{
	double		lane[LANES] = {0};
	double		square = 0;
	int			i = 0;
	int			j;

	if (column == NULL)
		for (; i + LANES <= count; i += LANES)
			for (j = 0; j < LANES; j++)
				lane[j] += (double) value[i + j] * value[i + j];
	for (; i < count; i++)
		lane[(column != NULL ? column[i] : i) % LANES] += (double) value[i] * value[i];
	for (j = 0; j < LANES; j++)
		square += lane[j];
	return square < NETWORK_MIN_LENGTH * NETWORK_MIN_LENGTH ? 0 : 1 / sqrt(square);
}

double
features_inverse_length(const Features *features, int i)
{
	if (features->dense != NULL)
		return inverse_length(features->dense + (size_t) i * features->columns, NULL, features->columns);
	return inverse_length(features->value + features->row_start[i], features->column + features->row_start[i],
						  features->row_start[i + 1] - features->row_start[i]);
}

void
features_inverse_lengths(const CoreEnv *env, const Features *features, float *inverse)
{
	size_t		work = 0;
	int			i;

	for (i = 0; i < features->rows; i++)
	{
		inverse[i] = (float) features_inverse_length(features, i);
		work += features->columns;
		if (work >= INTERRUPT_CHECK_PRODUCTS)
		{
			env->interrupt();
			work = 0;
		}
	}
}

void
rbf_forward(const CoreEnv *env, const Layer *layer, const Features *features,
			const float *inverse, float *outputs)
{
	size_t		work = 0;
	int			i;

	layer_product(env, layer, features, outputs);
	for (i = 0; i < features->rows; i++)
	{
		vector_loops()->rbf(outputs + (size_t) i * layer->outputs, inverse[i], layer->bias, layer->outputs);
		work += 8 * layer->outputs;
		if (work >= INTERRUPT_CHECK_PRODUCTS)
		{
			env->interrupt();
			work = 0;
		}
	}
}

/* y = factor·y */
static void
layer_scale_row(float *y, float factor, int n)
{
	int			k;

	for (k = 0; k < n; k++)
		y[k] *= factor;
}

void
network_forward(const CoreEnv *env, const Network *network,
				const Features *features, float *scratch, float *outputs)
{
	const VectorLoops *loops = vector_loops();
	const Layer *last = &network->layer[network->layers - 1];
	float	   *inverse = scratch + (size_t) features->rows * network->units;	/* [rows] */
	Features	hidden = {0};
	const Features *input = features;
	int			l;
	int			i;

	if (network->kernel != KERNEL_NONE)
		features_inverse_lengths(env, features, inverse);
	hidden.rows = features->rows;
	for (l = 0; l < network->layers - 1; l++)
	{
		const Layer *layer = &network->layer[l];

		if (network->kernel == KERNEL_RBF)
			rbf_forward(env, layer, input, inverse, scratch);
		else
		{
			layer_product(env, layer, input, scratch);
			for (i = 0; i < features->rows; i++)
				loops->bias_relu(scratch + (size_t) i * layer->outputs, layer->bias, layer->outputs);
		}
		hidden.columns = layer->outputs;
		hidden.dense = scratch;
		input = &hidden;
		scratch += (size_t) features->rows * layer->outputs;
	}
	layer_product(env, last, input, outputs);
	for (i = 0; i < features->rows; i++)
	{
		if (network->kernel == KERNEL_LINEAR)
			layer_scale_row(outputs + (size_t) i * last->outputs, inverse[i], last->outputs);
		loops->add_scaled(outputs + (size_t) i * last->outputs, 1, last->bias, last->outputs);
	}
}
