/*
 * core/ridge_rotate.c: kernel ridge hashing's rotation to bits, and its
 * networks: the phase rotate of core/method_kernel_ridge.c.
 */
#include "core/method_kernel_ridge.h"

#include <math.h>
#include <string.h>

/*
 * All of E, as it was when P was found: a row of it may be rounded otherwise
 * with other neighbours in its block.
 */
static void
ridge_keep_common(Trainer *trainer)
{
	RidgeState *state = ridge_state(trainer);
	Features	features[2];
	int			from;
	int			next;
	int			s;

	for (from = 0; from < trainer->source.rows; from = next)
	{
		next = ridge_fetch(trainer, NULL, from, trainer->source.rows, features, NULL);
		for (s = 0; s < 2; s++)
			ridge_common_rows(trainer, s, &features[s], from);
	}
	state->is_kept = true;
}

/* E's rows [rows × t] of a side: what the order has from … on. */
static const float *
ridge_kept_rows(RidgeState *state, int s, int all_rows, int from, int rows)
{
	const float *kept = state->kept + (size_t) s * all_rows * state->target;
	int			t = state->target;
	int			i;

	for (i = 0; i < rows; i++)
		memcpy(state->e + (size_t) i * t, kept + (size_t) state->permutation[from + i] * t, t * sizeof(float));
	return state->e;
}

/* h [2·rows × d] = E·P of the rows that the rotation is fitted to, drawn without replacement. */
static void
ridge_fill_common(Trainer *trainer)
{
	RidgeState *state = ridge_state(trainer);
	const CoreEnv *env = &trainer->env;
	int			rows = state->rotated / 2;
	int			t = state->target;
	int			d = state->common;
	float	   *basis = state->weight_of_basis;
	Features	features[2];
	int			from;
	int			next;
	int			s;
	int			i;

	for (i = 0; i < d * t; i++)
		basis[i] = (float) state->basis[i];
	for (s = 0; s < 2; s++)
		ridge_begin_common(env, state, &state->side[s]);
	if (state->kept != NULL && !state->is_kept)
		ridge_keep_common(trainer);
	ridge_shuffle(trainer, 0, RANDOM_ROTATION);
	for (from = 0; from < rows; from = next)
	{
		next = from + state->block < rows ? from + state->block : rows;
		if (!state->is_kept)
			ridge_fetch(trainer, state->permutation, from, next, features, NULL);
		for (s = 0; s < 2; s++)
			blas_product(env, false, true, next - from, d, t, 1,
						 state->is_kept ? ridge_kept_rows(state, s, trainer->source.rows, from, next - from) :
						 ridge_common_rows(trainer, s, &features[s], -1),
						 t, basis, t, 0, state->h + ((size_t) s * rows + from) * d, d);
	}
}

static void
ridge_set_rotation(RidgeState *state, int bits)
{
	size_t		i;

	for (i = 0; i < (size_t) state->common * bits; i++)
		state->rotation[i] = (float) state->exact_rotation[i];
}

/* exact_agreement [d × K] = Hᵀ·sign(H·R). */
static void
ridge_agree(Trainer *trainer)
{
	RidgeState *state = ridge_state(trainer);
	const CoreEnv *env = &trainer->env;
	int			bits = trainer->options.bits;
	int			d = state->common;
	int			from;
	size_t		i;

	memset(state->exact_agreement, 0, (size_t) d * bits * sizeof(double));
	for (from = 0; from < state->rotated; from += state->chunk)
	{
		int			rows = state->rotated - from < state->chunk ? state->rotated - from : state->chunk;
		const float *h = state->h + (size_t) from * d;
		float	   *turned = state->turned;

		blas_product(env, false, false, rows, bits, d, 1, h, d, state->rotation, bits, 0, turned, bits);
		for (i = 0; i < (size_t) rows * bits; i++)
			turned[i] = turned[i] > 0 ? 1.0f : -1.0f;
		env->interrupt();
		blas_product(env, true, false, d, bits, rows, 1, h, d, turned, bits, 0, state->agreement, bits);
		for (i = 0; i < (size_t) d * bits; i++)
			state->exact_agreement[i] += state->agreement[i];
		env->interrupt();
	}
}

/*
 * How far H·R is from numbers of one magnitude: 1 − (mean |h|)²/mean h², which
 * is 0 when all are alike.  Σ|h| = Σ h·sign(h) is the product of R and the
 * agreement; Σ h² is that of H, since R has orthonormal rows.
 */
static double
ridge_quantization(const Trainer *trainer, double square)
{
	const RidgeState *state = ridge_state(trainer);
	size_t		count = (size_t) state->common * trainer->options.bits;
	double		sum = 0;
	size_t		i;

	for (i = 0; i < count; i++)
		sum += state->exact_agreement[i] * state->rotation[i];
	return square > 0 ? 1 - sum / ((double) state->rotated * trainer->options.bits) * (sum / square) : 0;
}

/* V of a side, c·V and −c·ḡᵀV into its last layer, some columns at a time. */
static void
ridge_fill_network(Trainer *trainer, RidgeSide *side)
{
	RidgeState *state = ridge_state(trainer);
	const Layer *last = &side->network.layer[side->network.layers - 1];
	int			bits = trainer->options.bits;
	int			n = side->units;
	int			t = state->target;
	int			from;
	int			i;
	int			k;

	for (from = 0; from < bits; from += RIDGE_COLUMNS)
	{
		int			columns = bits - from < RIDGE_COLUMNS ? bits - from : RIDGE_COLUMNS;
		double		bias[RIDGE_COLUMNS] = {0};

		blas_product_double(&trainer->env, false, false, n, columns, t, side->factor[0], side->solution, t,
							state->mixed + from, bits, 0, state->column_block, columns);
		for (i = 0; i < n; i++)
			for (k = 0; k < columns; k++)
			{
				double		v = state->column_block[(size_t) i * columns + k];

				last->weight[(size_t) i * bits + from + k] = (float) v;
				bias[k] -= (side->centre[i] + side->moved[i]) * v;
			}
		for (k = 0; k < columns; k++)
			last->bias[from + k] = (float) bias[k];
		trainer->env.interrupt();
	}
}

/* R, and with it the networks. */
bool
ridge_rotate(Trainer *trainer, double *error)
{
	RidgeState *state = ridge_state(trainer);
	const CoreEnv *env = &trainer->env;
	int			bits = trainer->options.bits;
	int			d = state->common;
	double		square = 0;
	int			i;
	int			s;

	ridge_fill_common(trainer);
	for (i = 0; i < state->rotated; i++)
		square += vector_loops()->dot(state->h + (size_t) i * d, state->h + (size_t) i * d, d);
	random_normal(env, random_key(trainer->options.seed, 1, 0, RANDOM_ROTATION), state->exact_agreement, (size_t) d * bits);
	for (i = 0; i <= ridge_options(&trainer->options)->rotations; i++)
	{
		if (!polar_factor(env, state->exact_agreement, d, bits, state->exact_rotation, state->eigen, &state->fault))
			return false;
		ridge_set_rotation(state, bits);
		ridge_agree(trainer);
	}
	*error = ridge_quantization(trainer, square);
	blas_product_double(env, true, false, state->target, bits, d, 1, state->basis, state->target,
						state->exact_rotation, bits, 0, state->mixed, bits);
	for (s = 0; s < 2; s++)
		ridge_fill_network(trainer, &state->side[s]);
	return true;
}
