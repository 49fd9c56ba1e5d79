/*
 * core/ridge_solve.c: kernel ridge hashing's sums, its regression and its
 * common space: the phases accumulate and solve of core/method_kernel_ridge.c.
 */
#include "core/method_kernel_ridge.h"

#include <math.h>
#include <string.h>

/* z [rows × t] of a block, without the means taken off. */
static void
ridge_target_rows(Trainer *trainer, const Features features[2], const uint8_t *labels)
{
	RidgeState *state = ridge_state(trainer);
	double		mix = state->classes > 0 ? ridge_options(&trainer->options)->label_mix : 1;
	int			rows = features[0].rows;
	int			i;
	int			j;

	if (state->fused > 0)
		fused_rows(trainer, features, state->z + state->classes, state->target);
	for (i = 0; i < rows; i++)
	{
		float	   *z = state->z + (size_t) i * state->target;
		const uint8_t *label = labels + (size_t) i * state->classes;
		int			count = 0;
		float		one;

		for (j = 0; j < state->classes; j++)
			count += label[j] != 0;
		one = count > 0 ? (float) sqrt((1 - mix) / count) : 0;
		for (j = 0; j < state->classes; j++)
			z[j] = label[j] != 0 ? one : 0;
		for (; j < state->target; j++)
			z[j] *= (float) sqrt(mix);
		if (i % 64 == 63)
			trainer->env.interrupt();
	}
}

/* Sums become means of what is centred, and c is found. */
static void
ridge_centre_sums(Trainer *trainer, RidgeSide *side)
{
	RidgeState *state = ridge_state(trainer);
	int			n = side->units;
	int			t = state->target;
	double		rows = trainer->source.rows;
	double		trace = 0;
	double		c;
	int			i;
	int			j;

	block_sum_flush(&trainer->env, &side->gram);
	block_sum_flush(&trainer->env, &side->cross);
	for (i = 0; i < n; i++)
		side->moved[i] /= rows;
	for (i = 0; i < n; i++)
		trace += side->gram.total[(size_t) i * n + i] / rows - side->moved[i] * side->moved[i];
	c = trace > 1e-12 ? 1 / sqrt(trace) : 0;
	side->factor[0] = c;
	for (i = 0; i < n; i++)
	{
		double	   *gram = side->gram.total + (size_t) i * n;
		double	   *cross = side->cross.total + (size_t) i * t;

		for (j = 0; j <= i; j++)
			gram[j] = c * c * (gram[j] / rows - side->moved[i] * side->moved[j]);
		for (j = 0; j < t; j++)
			cross[j] = c * (cross[j] / rows - side->moved[i] * state->target_mean[j]);
		if (i % 64 == 63)
			trainer->env.interrupt();
	}
}

void
ridge_accumulate(Trainer *trainer)
{
	RidgeState *state = ridge_state(trainer);
	const CoreEnv *env = &trainer->env;
	int			rows = trainer->source.rows;
	int			t = state->target;
	double		square = 0;
	Features	features[2];
	const uint8_t *labels = NULL;
	int			from;
	int			next;
	int			s;
	size_t		i;

	if (state->fused > 0)
		fused_begin(env, state);
	memset(state->target_mean, 0, t * sizeof(double));
	for (s = 0; s < 2; s++)
	{
		memset(state->side[s].moved, 0, state->side[s].units * sizeof(double));
		state->side[s].is_kept = false;
		block_sum_begin(env, &state->side[s].gram);
		block_sum_begin(env, &state->side[s].cross);
	}
	for (from = 0; from < rows; from = next)
	{
		next = ridge_fetch(trainer, NULL, from, rows, features, state->classes > 0 ? &labels : NULL);
		ridge_target_rows(trainer, features, labels);
		ridge_add_columns(state->z, features[0].rows, t, state->target_mean);
		for (i = 0; i < (size_t) features[0].rows * t; i++)
			square += (double) state->z[i] * state->z[i];
		for (s = 0; s < 2; s++)
		{
			RidgeSide  *side = &state->side[s];
			const float *g = ridge_features(env, side, &features[s], from);

			ridge_add_columns(g, features[s].rows, side->units, side->moved);
			blas_product(env, true, false, side->units, t, features[s].rows, 1, g, side->units,
						 state->z, t, side->cross.blocks > 0, side->cross.partial, t);
			block_sum_added(env, &side->cross);
			block_sum_add_square(env, &side->gram, g, features[s].rows, side->units);
		}
	}
	for (i = 0; i < (size_t) t; i++)
	{
		state->target_mean[i] /= rows;
		square -= rows * state->target_mean[i] * state->target_mean[i];
	}
	state->target_square[0] = square / rows;
	for (s = 0; s < 2; s++)
	{
		state->side[s].is_kept = state->side[s].kept != NULL;
		ridge_centre_sums(trainer, &state->side[s]);
	}
}

/* W of a side; *residual: the share of Z's variance that φ·W leaves. */
static bool
ridge_solve_side(Trainer *trainer, RidgeSide *side, double *residual)
{
	RidgeState *state = ridge_state(trainer);
	double		lambda = ridge_options(&trainer->options)->ridge;
	size_t		count = (size_t) side->units * state->target;
	double		explained = 0;
	int			n = side->units;
	size_t		i;

	for (i = 0; i < (size_t) n; i++)
		side->gram.total[i * n + i] += lambda;
	if (!cholesky_factor(&trainer->env, side->gram.total, n, &state->fault))
		return false;
	memcpy(side->solution, side->cross.total, count * sizeof(double));
	cholesky_solve(&trainer->env, side->gram.total, n, side->solution, state->target);

	/* ‖Z − φW‖² = ‖Z‖² − 2·tr(WᵀC) + tr(WᵀAW), where C = φᵀZ, A = φᵀφ and AW = C − λW. */
	for (i = 0; i < count; i++)
	{
		explained += side->solution[i] * (side->cross.total[i] + lambda * side->solution[i]);
		if (i % INTERRUPT_CHECK_FLOATS == INTERRUPT_CHECK_FLOATS - 1)
			trainer->env.interrupt();
	}
	*residual = state->target_square[0] > 0 ? 1 - explained / state->target_square[0] : 0;
	return true;
}

/* What ridge_common_rows() needs of W. */
void
ridge_begin_common(const CoreEnv *env, RidgeState *state, RidgeSide *side)
{
	int			t = state->target;
	double		c = side->factor[0];
	int			i;
	int			j;

	for (j = 0; j < t; j++)
	{
		double		shift = 0;

		for (i = 0; i < side->units; i++)
		{
			double		weight = c * side->solution[(size_t) i * t + j];

			side->weight[(size_t) i * t + j] = (float) weight;
			shift += side->moved[i] * weight;
		}
		side->shift[j] = (float) shift;
		if (j % 16 == 15)
			env->interrupt();
	}
}

/* E's rows [rows × t] = unit(φ·W) of a block, as ridge_features() has it. */
const float *
ridge_common_rows(Trainer *trainer, int s, const Features *features, int from)
{
	RidgeState *state = ridge_state(trainer);
	const CoreEnv *env = &trainer->env;
	RidgeSide  *side = &state->side[s];
	int			t = state->target;
	size_t		at = ((size_t) s * trainer->source.rows + from) * t;
	float	   *e = from >= 0 && state->kept != NULL ? state->kept + at : state->e;
	int			i;

	if (from >= 0 && state->is_kept)
		return e;
	blas_product(env, false, false, features->rows, t, side->units, 1, ridge_features(env, side, features, from),
				 side->units, side->weight, t, 0, e, t);
	for (i = 0; i < features->rows; i++)
		vector_loops()->add_scaled(e + (size_t) i * t, -1, side->shift, t);
	ridge_unit_rows(env, e, features->rows, t);
	return e;
}

/* W of both sides, then P. */
bool
ridge_solve(Trainer *trainer, double residual[2])
{
	RidgeState *state = ridge_state(trainer);
	const CoreEnv *env = &trainer->env;
	int			rows = trainer->source.rows;
	int			t = state->target;
	Features	features[2];
	int			from;
	int			next;
	int			s;
	int			i;
	int			j;

	for (s = 0; s < 2; s++)
	{
		if (!ridge_solve_side(trainer, &state->side[s], &residual[s]))
			return false;
		ridge_begin_common(env, state, &state->side[s]);
	}
	state->is_kept = false;
	block_sum_begin(env, &state->spread);
	for (from = 0; from < rows; from = next)
	{
		next = ridge_fetch(trainer, NULL, from, rows, features, NULL);
		for (s = 0; s < 2; s++)
			block_sum_add_square(env, &state->spread, ridge_common_rows(trainer, s, &features[s], from), features[s].rows, t);
	}
	state->is_kept = state->kept != NULL;
	block_sum_flush(env, &state->spread);
	for (i = 0; i < t; i++)
	{
		for (j = 0; j <= i; j++)
		{
			double		mean = state->spread.total[(size_t) i * t + j] / (2.0 * rows);

			state->spread.total[(size_t) i * t + j] = mean;
			state->spread.total[(size_t) j * t + i] = mean;
		}
		if (i % 64 == 63)
			env->interrupt();
	}
	return leading_eigenvectors(env, state->spread.total, t, state->common,
								random_key(trainer->options.seed, 1, 0, RANDOM_SUBSPACE),
								state->basis, state->eigen, &state->fault);
}
