/*
 * core/network.h: the small networks that turn features into codes: one linear
 * layer, or hidden ReLU layers before it, or a hidden layer of radial basis
 * functions.  Numeric core.
 *
 * Weights are input-major ("word-major"): weight[i] is the row of input i, so
 * that a sparse input row adds a few rows, and touches only those when it is
 * trained.  (safetensors files have the transpose, as PyTorch does.)
 */
#ifndef NETWORK_H
#define NETWORK_H

#include "core/env.h"

/* Linear layers of a network, the last one included. */
#define NETWORK_MAX_LAYERS 8

/* Units of one hidden layer. */
#define NETWORK_MAX_HIDDEN 65536

/*
 * What a network makes of its features.  With a kernel it first brings each row
 * to unit length: u = x/‖x‖, or 0 where ‖x‖ < NETWORK_MIN_LENGTH.
 */
typedef enum Kernel
{
	KERNEL_NONE,				/* the layers take the features themselves */
	KERNEL_LINEAR,				/* one linear layer takes u */
	KERNEL_RBF					/* one hidden layer, g = exp((u·a − 1) / s) of each anchor a, width s */
} Kernel;

#define NETWORK_MIN_LENGTH 1e-12

/*
 * The hidden layers between features and outputs, and the units of each; none:
 * a linear network.  The kernel decides their number: 0 of KERNEL_LINEAR, 1 of
 * KERNEL_RBF.
 */
typedef struct HiddenLayers
{
	int			count;
	int			units[NETWORK_MAX_LAYERS - 1];
	Kernel		kernel;
} HiddenLayers;

typedef struct Layer
{
	int			inputs;
	int			outputs;
	float	   *weight;			/* [inputs × outputs]; of KERNEL_RBF's hidden layer the anchors, in columns */
	float	   *bias;			/* [outputs]; there the widths */
} Layer;

typedef struct Network
{
	int			inputs;
	int			units;			/* of all hidden layers together */
	int			outputs;		/* bits */
	int			layers;			/* 0: there is no network */
	Kernel		kernel;
	Layer		layer[NETWORK_MAX_LAYERS];
	float	   *rounding_bound;	/* [layers × outputs] by network_prepare(), or NULL */
} Network;

/*
 * Rows of features, dense or sparse (compressed sparse rows); exactly one of
 * dense and row_start is set.
 */
typedef struct Features
{
	int			rows;
	int			columns;
	const float *dense;			/* [rows × columns] */
	const int32_t *row_start;	/* [rows + 1], into column and value */
	const int32_t *column;		/* ascending within a row */
	const float *value;
} Features;

/* At most one hidden layer, as training makes them: of 0 units, none. */
extern HiddenLayers network_hidden(int units);

/* A kernel of that many anchors: of 0, the linear one. */
extern HiddenLayers network_kernel(int anchors);

/* Units of all hidden layers together. */
extern int	network_units(const HiddenLayers *hidden);

/* Number of float parameters: all layers' weights and biases. */
extern size_t network_parameters(int inputs, const HiddenLayers *hidden, int outputs);

/*
 * Lay a network out over `parameters` floats (allocated when NULL): layer 0's
 * weight, bias, then layer 1's, and so on.  This order is also the stored one.
 */
extern void network_layout(Network *network, int inputs, const HiddenLayers *hidden, int outputs,
						   float *parameters, const CoreEnv *env);

/*
 * Work out, once the weights are final, how far rounding can move each output;
 * network_encode() would otherwise do (and allocate) so at every call.
 */
extern void network_prepare(const CoreEnv *env, Network *network);

/* 1/‖x‖ of a row, 0 of one shorter than NETWORK_MIN_LENGTH: the same number of a dense row and a sparse one. */
extern double inverse_length(const float *value, const int32_t *column, int count);
extern double features_inverse_length(const Features *features, int row);
extern void features_inverse_lengths(const CoreEnv *env, const Features *features, float *inverse);

/* G [rows × anchors] of KERNEL_RBF's hidden layer; inverse [rows] as above. */
extern void rbf_forward(const CoreEnv *env, const Layer *layer, const Features *features,
						const float *inverse, float *outputs);

/*
 * Outputs before tanh, H [rows × outputs].  scratch holds [rows × (units + 1)]: the
 * first hidden layer's activations of all rows, then the second's, and so on;
 * at last, with a kernel, the rows' inverse lengths.
 * A few rows are multiplied by loops of our own, which need no BLAS loaded.
 */
extern void network_forward(const CoreEnv *env, const Network *network,
							const Features *features, float *scratch, float *outputs);

/*
 * Code bits, H > 0, of every row, MSB first, (outputs + 7) / 8 bytes a row.
 * Where |h| is too small for float rounding to be trusted, h is computed again
 * in double in a fixed order, so that one row and a batch always agree.
 */
extern void network_encode(const CoreEnv *env, const Network *network,
						   const Features *features, float *scratch, float *outputs,
						   uint8_t *codes);

#endif							/* NETWORK_H */
