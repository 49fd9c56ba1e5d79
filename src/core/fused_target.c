/*
 * core/fused_target.c: what kernel ridge hashing fits both sides to, when
 * nothing is known but the pairs themselves: few dimensions that hold most of
 * what images and texts vary in together.
 *
 * With the means of the training rows taken off, p = unit(x_I − mean) and
 * q = unit(x_T − mean),
 *
 *     Z₀ = [√(1−β)·p, √β·q]            [N × (d_I + d_T)],
 *     w, V = the leading eigenpairs of Z₀ᵀZ₀/N,
 *     F = unit((Z₀V)·w^¼)              [N × dimensions].
 *
 * The eigenpairs come from a subspace: Ω [(d_I + d_T) × k] of random numbers,
 * k = dimensions + 32, is replaced twice by an orthonormal basis of
 * Z₀ᵀ(Z₀Ω), and Q then makes the small problem (Z₀Q)ᵀ(Z₀Q)/N = U·w·Uᵀ
 * [k × k], V = Q·U.  After two passes that is as good as exact: mAP does not
 * tell them apart.
 *
 * Rows of a sparse side stay sparse: p·Ω = (x·Ω − mean·Ω)/‖x − mean‖, and
 * pᵀY = Σ xᵀ(y/‖x − mean‖) − meanᵀ(Σ y/‖x − mean‖).
 */
#include "core/method_kernel_ridge.h"

#include <math.h>
#include <string.h>

#define FUSED_EXTRA 32			/* columns of Ω beyond the dimensions wanted */
#define FUSED_PASSES 2

/* An eigenvalue below this share of the first is what rounding leaves of none. */
#define FUSED_LEAST 1e-7

static int
fused_total(const RidgeState *state)
{
	return state->side[0].columns + state->side[1].columns;
}

void
fused_reserve(Trainer *trainer, ArenaPlan *plan)
{
	RidgeState *state = ridge_state(trainer);
	size_t		total = fused_total(state);
	int			wanted = ridge_options(&trainer->options)->dimensions + FUSED_EXTRA;
	int			k = wanted < (int) total ? wanted : (int) total;
	int			s;

	state->subspace = k;
	state->fused = ridge_options(&trainer->options)->dimensions < k ? ridge_options(&trainer->options)->dimensions : k;
	for (s = 0; s < 2; s++)
	{
		RidgeSide  *side = &state->side[s];
		size_t		columns = side->columns;

		side->subspace = arena_reserve(plan, columns * k, sizeof(float));
		block_sum_reserve(&side->image, plan, columns * k);
		side->centred = arena_reserve(plan, side->sparse ? 0 : state->block * columns, sizeof(float));
		side->inverse = arena_reserve(plan, state->block, sizeof(float));
		side->mean_subspace = arena_reserve(plan, k, sizeof(float));
		side->inverse_sum = arena_reserve(plan, k, sizeof(double));
	}
	state->projected = arena_reserve(plan, (size_t) state->block * k, sizeof(float));
	block_sum_reserve(&state->inner, plan, (size_t) k * k);
	state->stacked = arena_reserve(plan, total * k, sizeof(double));
	state->stacked_work = arena_reserve(plan, total * k, sizeof(double));
}

/* Means of the training rows' features. */
static void
fused_fit_means(Trainer *trainer)
{
	RidgeState *state = ridge_state(trainer);
	Features	features[2];
	int			rows = trainer->source.rows;
	int			from;
	int			s;
	int			i;
	int			j;

	for (s = 0; s < 2; s++)
		memset(state->side[s].mean, 0, state->side[s].columns * sizeof(double));
	for (from = 0; from < rows;)
	{
		from = ridge_fetch(trainer, NULL, from, rows, features, NULL);
		for (s = 0; s < 2; s++)
		{
			double	   *mean = state->side[s].mean;
			const Features *f = &features[s];

			for (i = 0; i < f->rows; i++)
				if (f->dense != NULL)
					for (j = 0; j < f->columns; j++)
						mean[j] += f->dense[(size_t) i * f->columns + j];
				else
					for (j = f->row_start[i]; j < f->row_start[i + 1]; j++)
						mean[f->column[j]] += f->value[j];
		}
	}
	for (s = 0; s < 2; s++)
		for (j = 0; j < state->side[s].columns; j++)
			state->side[s].mean[j] /= rows;
}

static double
fused_mean_square(const RidgeSide *side)
{
	double		square = 0;
	int			j;

	for (j = 0; j < side->columns; j++)
		square += side->mean[j] * side->mean[j];
	return square;
}

/* 1/‖x − mean‖ of each row, 0 for one that is the mean; of dense rows also unit(x − mean). */
static void
fused_centre(const CoreEnv *env, RidgeSide *side, const Features *features)
{
	double		mean_square = side->sparse ? fused_mean_square(side) : 0;
	int			i;
	int			j;

	for (i = 0; i < features->rows; i++)
	{
		double		square = mean_square;
		double		factor;

		if (side->sparse)
			for (j = features->row_start[i]; j < features->row_start[i + 1]; j++)
			{
				double		mean = side->mean[features->column[j]];

				square += features->value[j] * (features->value[j] - 2 * mean);
			}
		else
			for (j = 0; j < side->columns; j++)
			{
				double		x = features->dense[(size_t) i * side->columns + j] - side->mean[j];

				side->centred[(size_t) i * side->columns + j] = (float) x;
				square += x * x;
			}
		factor = square < NETWORK_MIN_LENGTH * NETWORK_MIN_LENGTH ? 0 : 1 / sqrt(square);
		side->inverse[i] = (float) factor;
		if (!side->sparse)
			for (j = 0; j < side->columns; j++)
				side->centred[(size_t) i * side->columns + j] *= (float) factor;
		if (i % 64 == 63)
			env->interrupt();
	}
}

/* What projections need beside the subspace, each time it has changed. */
void
fused_begin(const CoreEnv *env, RidgeState *state)
{
	int			k = state->subspace;
	int			s;
	int			i;
	int			j;

	for (s = 0; s < 2; s++)
	{
		RidgeSide  *side = &state->side[s];
		double		sums[EIGEN_MAX] = {0};

		for (i = 0; i < side->columns; i++)
		{
			for (j = 0; j < k; j++)
				sums[j] += side->mean[i] * side->subspace[(size_t) i * k + j];
			if (i % 8192 == 8191)
				env->interrupt();
		}
		for (j = 0; j < k; j++)
			side->mean_subspace[j] = (float) sums[j];
	}
}

/* Add √share·p·Ω of one side to projected [rows × k]. */
static void
fused_project_side(const CoreEnv *env, RidgeState *state, RidgeSide *side, const Features *features)
{
	int			k = state->subspace;
	float		share = sqrtf(side->share);
	size_t		work = 0;
	int			i;

	if (!side->sparse)
	{
		blas_product(env, false, false, features->rows, k, side->columns, share, side->centred, side->columns,
					 side->subspace, k, 1, state->projected, k);
		return;
	}
	for (i = 0; i < features->rows; i++)
	{
		int			start = features->row_start[i];
		int			count = features->row_start[i + 1] - start;
		float		row[EIGEN_MAX] = {0};

		vector_loops()->add_rows(row, side->subspace, k, k, features->value + start, features->column + start, count);
		vector_loops()->add_scaled(row, -1, side->mean_subspace, k);
		vector_loops()->add_scaled(state->projected + (size_t) i * k, share * side->inverse[i], row, k);
		work += (size_t) count * k;
		if (work >= INTERRUPT_CHECK_FLOATS)
		{
			env->interrupt();
			work = 0;
		}
	}
}

/* projected [rows × k] = Z₀Ω. */
static void
fused_project(const CoreEnv *env, RidgeState *state, const Features features[2])
{
	int			s;

	memset(state->projected, 0, (size_t) features[0].rows * state->subspace * sizeof(float));
	for (s = 0; s < 2; s++)
	{
		fused_centre(env, &state->side[s], &features[s]);
		fused_project_side(env, state, &state->side[s], &features[s]);
	}
}

/* Add pᵀ·(Z₀Ω) of a block to this side's rows of Z₀ᵀ(Z₀Ω), without √share. */
static void
fused_back_side(const CoreEnv *env, RidgeState *state, RidgeSide *side, const Features *features)
{
	int			k = state->subspace;
	size_t		work = 0;
	int			i;
	int			j;

	if (!side->sparse)
		blas_product(env, true, false, side->columns, k, features->rows, 1, side->centred, side->columns,
					 state->projected, k, side->image.blocks > 0, side->image.partial, k);
	else
		for (i = 0; i < features->rows; i++)
		{
			const float *y = state->projected + (size_t) i * k;

			if (i == 0 && side->image.blocks == 0)
				memset(side->image.partial, 0, side->image.count * sizeof(float));
			for (j = features->row_start[i]; j < features->row_start[i + 1]; j++)
				vector_loops()->add_scaled(side->image.partial + (size_t) features->column[j] * k,
										   features->value[j] * side->inverse[i], y, k);
			for (j = 0; j < k; j++)
				side->inverse_sum[j] += (double) side->inverse[i] * y[j];
			work += (size_t) (features->row_start[i + 1] - features->row_start[i]) * k;
			if (work >= INTERRUPT_CHECK_FLOATS)
			{
				env->interrupt();
				work = 0;
			}
		}
	block_sum_added(env, &side->image);
}

/* Both sides' rows of Z₀ᵀ(Z₀Ω)/N, one below the other, to stacked. */
static void
fused_stack(const CoreEnv *env, RidgeState *state, int rows)
{
	int			k = state->subspace;
	double	   *to = state->stacked;
	int			s;
	int			i;
	int			j;

	for (s = 0; s < 2; s++)
	{
		RidgeSide  *side = &state->side[s];
		double		factor = sqrt(side->share) / rows;

		block_sum_flush(env, &side->image);
		for (i = 0; i < side->columns; i++)
		{
			for (j = 0; j < k; j++)
			{
				double		sum = side->image.total[(size_t) i * k + j];

				if (side->sparse)
					sum -= side->mean[i] * side->inverse_sum[j];
				*to++ = factor * sum;
			}
			if (i % 8192 == 8191)
				env->interrupt();
		}
	}
}

/* The subspace [(d_I + d_T) × k] of both sides from `stacked`, or from that times mix [k × k]ᵀ. */
static void
fused_unstack(const CoreEnv *env, RidgeState *state, const double *from)
{
	int			s;
	size_t		i;

	for (s = 0; s < 2; s++)
	{
		RidgeSide  *side = &state->side[s];
		size_t		count = (size_t) side->columns * state->subspace;

		for (i = 0; i < count; i++)
		{
			side->subspace[i] = (float) from[i];
			if (i % INTERRUPT_CHECK_FLOATS == INTERRUPT_CHECK_FLOATS - 1)
				env->interrupt();
		}
		from += count;
	}
}

/* One pass: Ω becomes an orthonormal basis of Z₀ᵀ(Z₀Ω). */
static bool
fused_pass(Trainer *trainer)
{
	RidgeState *state = ridge_state(trainer);
	const CoreEnv *env = &trainer->env;
	Features	features[2];
	int			rows = trainer->source.rows;
	int			from;
	int			s;

	fused_begin(env, state);
	for (s = 0; s < 2; s++)
	{
		block_sum_begin(env, &state->side[s].image);
		memset(state->side[s].inverse_sum, 0, state->subspace * sizeof(double));
	}
	for (from = 0; from < rows;)
	{
		from = ridge_fetch(trainer, NULL, from, rows, features, NULL);
		fused_project(env, state, features);
		for (s = 0; s < 2; s++)
			fused_back_side(env, state, &state->side[s], &features[s]);
	}
	fused_stack(env, state, rows);
	if (!orthonormalise(env, state->stacked, fused_total(state), state->subspace, state->stacked_work,
						state->eigen, &state->fault))
		return false;
	fused_unstack(env, state, state->stacked);
	return true;
}

/* eigen = (Z₀Q)ᵀ(Z₀Q)/N */
static void
fused_inner(Trainer *trainer)
{
	RidgeState *state = ridge_state(trainer);
	const CoreEnv *env = &trainer->env;
	Features	features[2];
	int			k = state->subspace;
	int			rows = trainer->source.rows;
	int			from;
	int			i;

	fused_begin(env, state);
	block_sum_begin(env, &state->inner);
	for (from = 0; from < rows;)
	{
		from = ridge_fetch(trainer, NULL, from, rows, features, NULL);
		fused_project(env, state, features);
		blas_product(env, true, false, k, k, features[0].rows, 1, state->projected, k, state->projected, k,
					 state->inner.blocks > 0, state->inner.partial, k);
		block_sum_added(env, &state->inner);
	}
	block_sum_flush(env, &state->inner);
	for (i = 0; i < k * k; i++)
		state->eigen[i] = state->inner.total[i] / rows;
}

/* Means, and V·w^¼ as the sides' subspace; of k columns those beyond `fused` are nought. */
bool
fused_fit(Trainer *trainer)
{
	RidgeState *state = ridge_state(trainer);
	const CoreEnv *env = &trainer->env;
	int			k = state->subspace;
	double	   *values = state->eigen + (size_t) k * k;
	int			total = fused_total(state);
	int			i;
	int			j;

	fused_fit_means(trainer);
	random_normal(env, random_key(trainer->options.seed, 0, 0, RANDOM_SUBSPACE), state->stacked, (size_t) total * k);
	fused_unstack(env, state, state->stacked);
	for (i = 0; i < FUSED_PASSES; i++)
		if (!fused_pass(trainer))
			return false;
	fused_inner(trainer);
	if (!eigen_symmetric(env, state->eigen, k, &state->fault))
		return false;
	for (i = 0; i < k; i++)
	{
		double		weight = i < state->fused && values[i] > FUSED_LEAST * values[0] ? sqrt(sqrt(values[i])) : 0;

		for (j = 0; j < k; j++)
			state->eigen[i * k + j] *= weight;
	}
	blas_product_double(env, false, true, total, k, k, 1, state->stacked, k, state->eigen, k, 0, state->stacked_work, k);
	fused_unstack(env, state, state->stacked_work);
	return true;
}

/* F of a block's rows, to [rows × fused] with that stride; fused_begin() comes first. */
void
fused_rows(Trainer *trainer, const Features features[2], float *to, int stride)
{
	RidgeState *state = ridge_state(trainer);
	int			i;

	fused_project(&trainer->env, state, features);
	ridge_unit_rows(&trainer->env, state->projected, features[0].rows, state->subspace);
	for (i = 0; i < features[0].rows; i++)
		memcpy(to + (size_t) i * stride, state->projected + (size_t) i * state->subspace, state->fused * sizeof(float));
}
