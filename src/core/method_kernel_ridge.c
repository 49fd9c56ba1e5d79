/*
 * core/method_kernel_ridge.c: kernel ridge hashing, in closed form.
 *
 * Its parts are known: radial basis functions of random anchors as in
 * "Supervised hashing with kernels", CVPR 2012, and "Supervised discrete
 * hashing", CVPR 2015; ridge regression to a target that both sides share; the
 * rotation of "Iterative quantization", CVPR 2011.  The combination and the
 * fused target are this project's own.
 *
 * N training pairs x_I [d_I], x_T [d_T], labels Y [N × C] if there are any; a
 * code has K bits.  unit(·) brings rows to length 1, one below 1e-12 to 0.
 *
 * 1. Features of a side, u = unit(x).  Anchors a_1 … a_n: unit rows of
 *    n = min(anchors, N) training rows, drawn without replacement, and
 *
 *        s = kernel_width·mean(2 − 2·u·a)          over anchors and 500 rows,
 *        g_j(x) = exp((u·a_j − 1)/s)               [n],
 *        φ(x) = c·(g(x) − ḡ),  c² = 1/mean ‖g − ḡ‖²  over the training rows.
 *
 *    The mean in s is 2 − 2·ū·ā: products are linear in both.  s is at least
 *    1e-3: where all rows are one, the mean is 0.  Without anchors g(x) = u.
 * 2. Target Z [N × t], its column means taken off: F [N × fused] of
 *    core/fused_target.c; with labels, r = label_mix,
 *
 *        Z = [√(1−r)·unit(Y), √r·F].
 *
 * 3. Ridge, each side: W = (φᵀφ/N + λI)⁻¹·φᵀZ/N   [n × t].
 * 4. Common space: E = [unit(φ_I·W_I); unit(φ_T·W_T)] [2N × t]; P [t × d] has
 *    the d = min(32, K, t) leading eigenvectors of EᵀE/2N.
 * 5. Rotation, H = E·P of at most 65,536 rows of each side: R [d × K] is the
 *    rotation nearest to random normal numbers, and then, `rotations` times,
 *
 *        B = sign(H·R),  R = the rotation nearest to HᵀB  (U·Vᵀ of its SVD).
 *
 * 6. The networks: code of x = sign(φ(x)·V), V = W·P·R [n × K]; c and ḡ go into
 *    the last layer, so that it takes g itself: c·V, with the bias −c·ḡᵀV.
 *
 * All but the rotation are sums over rows, of blocks in their canonical order
 * and of a size that depends on the shapes alone: rows that do not fit in
 * memory are streamed, and give the same bits.  Products are summed in float
 * within eight blocks, in double beyond; Cholesky is in double, since λ is
 * near the rounding of float.  So that φᵀφ loses nothing to cancellation, g is
 * taken less the mean over the 500 rows, which is close to ḡ; what it differs by
 * is taken off afterwards: Σ(g − m)(g − m)ᵀ/N − (ḡ − m)(ḡ − m)ᵀ.
 *
 * A side whose rows are all alike has φ = 0, and then W = 0: its codes are
 * all 0.  A pair without labels has unit(Y) = 0, and counts by F.
 */
#include "core/method_kernel_ridge.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define RIDGE_SAMPLE 500		/* rows that the width and the approximate mean are taken from */
#define RIDGE_LEAST_WIDTH 1e-3
#define RIDGE_COMMON 32			/* most columns of P */
#define RIDGE_ROTATED 65536		/* most rows of a side that the rotation is fitted to */
#define RIDGE_BLOCK 1024		/* most rows of a block */
#define RIDGE_BLOCK_FLOATS (4 << 20)	/* about the most numbers of a block */
#define RIDGE_PANEL 128			/* rows of φᵀφ that are computed at a time */
#define RIDGE_KEPT_FLOATS (16 << 20)	/* about the most that is kept instead of computed again */
#define RIDGE_FLUSH 8			/* blocks that are summed in float */
#define RIDGE_RBF 3e-6			/* λ with anchors, and without */
#define RIDGE_LINEAR 1e-3

enum
{
	PHASE_ANCHORS,
	PHASE_TARGET,
	PHASE_ACCUMULATE,
	PHASE_SOLVE,
	PHASE_ROTATE
};

/* ------------------------------------------------------------ sums of blocks */

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
static void
block_sum_add_square(const CoreEnv *env, BlockSum *sum, const float *x, int rows, int n)
{
	int			i;

	for (i = 0; i < n; i += RIDGE_PANEL)
	{
		int			high = n - i < RIDGE_PANEL ? n - i : RIDGE_PANEL;

		blas_product(env, true, false, high, i + high, rows, 1, x + i, n, x, n,
					 sum->blocks > 0, sum->partial + (size_t) i * n, n);
	}
	block_sum_added(env, sum);
}

/* ---------------------------------------------------------------------- rows */

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
static void
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
static const float *
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

/* ------------------------------------------------------------------- anchors */

/* Anchors into the columns of the first layer; returns nothing but mean_anchor [d]. */
static void
ridge_draw_anchors(Trainer *trainer, int s, double *mean_anchor)
{
	RidgeState *state = ridge_state(trainer);
	RidgeSide  *side = &state->side[s];
	const Layer *layer = &side->network.layer[0];
	Features	features[2];
	int			at = 0;
	int			from;
	int			i;
	int			j;

	memset(mean_anchor, 0, side->columns * sizeof(double));
	ridge_shuffle(trainer, s, RANDOM_ANCHORS);
	for (from = 0; from < side->units; at = from)
	{
		const Features *f = &features[s];

		from = ridge_fetch(trainer, state->permutation, from, side->units, features, NULL);
		for (i = 0; i < f->rows; i++)
		{
			double		factor = features_inverse_length(f, i);
			bool		dense = f->dense != NULL;
			int			end = dense ? f->columns : f->row_start[i + 1];

			for (j = dense ? 0 : f->row_start[i]; j < end; j++)
			{
				int			column = dense ? j : f->column[j];
				double		value = dense ? f->dense[(size_t) i * f->columns + j] : f->value[j];

				layer->weight[(size_t) column * side->units + at + i] = (float) (factor * value);
				mean_anchor[column] += factor * value / side->units;
			}
			if (i % 64 == 63)
				trainer->env.interrupt();
		}
	}
}

/* Add up rows of a block, in double. */
static void
ridge_add_columns(const float *matrix, int rows, int columns, double *sums)
{
	int			i;
	int			j;

	for (i = 0; i < rows; i++)
		for (j = 0; j < columns; j++)
			sums[j] += matrix[(size_t) i * columns + j];
}

/* Σ over the sample of u·b, by the mean anchor b. */
static double
ridge_sample_products(const Features *features, const double *mean_anchor)
{
	double		sum = 0;
	int			i;
	int			j;

	for (i = 0; i < features->rows; i++)
	{
		double		product = 0;

		if (features->dense != NULL)
			for (j = 0; j < features->columns; j++)
				product += features->dense[(size_t) i * features->columns + j] * mean_anchor[j];
		else
			for (j = features->row_start[i]; j < features->row_start[i + 1]; j++)
				product += features->value[j] * mean_anchor[features->column[j]];
		sum += product * features_inverse_length(features, i);
	}
	return sum;
}

/* The sample's mean of u·ā, or of g, which becomes the centre: over its rows in two walks. */
static void
ridge_fit_width(Trainer *trainer, int s, const double *mean_anchor)
{
	RidgeState *state = ridge_state(trainer);
	RidgeSide  *side = &state->side[s];
	int			sample = trainer->source.rows < RIDGE_SAMPLE ? trainer->source.rows : RIDGE_SAMPLE;
	Features	features[2];
	double		products = 0;
	double		width;
	int			from;
	int			j;

	ridge_shuffle(trainer, 2 + s, RANDOM_ANCHORS);
	if (side->network.kernel == KERNEL_RBF)
	{
		for (from = 0; from < sample;)
		{
			from = ridge_fetch(trainer, state->permutation, from, sample, features, NULL);
			products += ridge_sample_products(&features[s], mean_anchor);
		}
		width = ridge_options(&trainer->options)->kernel_width * (2 - 2 * products / sample);
		for (j = 0; j < side->units; j++)
			side->network.layer[0].bias[j] = (float) fmax(width, RIDGE_LEAST_WIDTH);
	}
	memset(side->centre, 0, side->units * sizeof(float));
	memset(side->moved, 0, side->units * sizeof(double));
	for (from = 0; from < sample;)
	{
		from = ridge_fetch(trainer, state->permutation, from, sample, features, NULL);
		ridge_add_columns(ridge_features(&trainer->env, side, &features[s], -1), features[s].rows, side->units, side->moved);
	}
	for (j = 0; j < side->units; j++)
		side->centre[j] = (float) (side->moved[j] / sample);
}

static void
ridge_anchors(Trainer *trainer)
{
	RidgeState *state = ridge_state(trainer);
	int			s;

	for (s = 0; s < 2; s++)
	{
		if (state->side[s].network.kernel == KERNEL_RBF)
			ridge_draw_anchors(trainer, s, state->side[s].mean);
		ridge_fit_width(trainer, s, state->side[s].mean);
	}
}

/* ---------------------------------------------------------------- accumulate */

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

static void
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

/* --------------------------------------------------------------------- solve */

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
		explained += side->solution[i] * (side->cross.total[i] + lambda * side->solution[i]);
	*residual = state->target_square[0] > 0 ? 1 - explained / state->target_square[0] : 0;
	return true;
}

/* What ridge_common_rows() needs of W. */
static void
ridge_begin_common(RidgeState *state, RidgeSide *side)
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
	}
}

/* E's rows [rows × t] = unit(φ·W) of a block, as ridge_features() has it. */
static const float *
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
static bool
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
		ridge_begin_common(state, &state->side[s]);
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

/* -------------------------------------------------------------------- rotate */

/* h [2·rows × d] = E·P of the rows that the rotation is fitted to. */
static void
ridge_fill_common(Trainer *trainer)
{
	RidgeState *state = ridge_state(trainer);
	const CoreEnv *env = &trainer->env;
	int			rows = state->rotated / 2;
	int			t = state->target;
	int			d = state->common;
	float	   *basis = state->weight_of_basis;
	bool		all = rows == trainer->source.rows;
	Features	features[2];
	int			from;
	int			next;
	int			s;
	int			i;

	for (i = 0; i < d * t; i++)
		basis[i] = (float) state->basis[i];
	for (s = 0; s < 2; s++)
		ridge_begin_common(state, &state->side[s]);
	if (!all)
		ridge_shuffle(trainer, 0, RANDOM_ROTATION);
	for (from = 0; from < rows; from = next)
	{
		next = ridge_fetch(trainer, all ? NULL : state->permutation, from, rows, features, NULL);
		for (s = 0; s < 2; s++)
			blas_product(env, false, true, features[s].rows, d, t, 1, ridge_common_rows(trainer, s, &features[s], all ? from : -1),
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
static bool
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

/* -------------------------------------------------------------------- method */

static const char *const ridge_phases[] = {"anchors", "target", "accumulate", "solve", "rotate", NULL};
static const char *const ridge_loss_terms[] = {"residual_image", "residual_text", "quantization", NULL};

static bool
ridge_phase(Trainer *trainer, int phase, TrainLoss *loss)
{
	const char *missing;

	if (!lapack_load(&missing))
	{
		snprintf(ridge_state(trainer)->failure, sizeof(ridge_state(trainer)->failure),
				 "the library of matrix products has no function %s", missing);
		return false;
	}
	switch (phase)
	{
		case PHASE_ANCHORS:
			ridge_anchors(trainer);
			return true;
		case PHASE_TARGET:
			return ridge_state(trainer)->fused == 0 || fused_fit(trainer);
		case PHASE_ACCUMULATE:
			ridge_accumulate(trainer);
			return true;
		case PHASE_SOLVE:
			return ridge_solve(trainer, loss->term);
		default:
			return ridge_rotate(trainer, &loss->term[2]);
	}
}

/* The loss is what the phase leaves: of the target's variance, or of equal magnitudes. */
static void
ridge_epoch(Trainer *trainer, int phase, TrainLoss *loss)
{
	RidgeState *state = ridge_state(trainer);

	loss->finite = ridge_phase(trainer, phase, loss);
	loss->loss = phase == PHASE_ROTATE ? loss->term[2] : (loss->term[0] + loss->term[1]) / 2;
	if (loss->finite)
		return;
	if (state->fault.function != NULL)
		snprintf(state->failure, sizeof(state->failure),
				 state->fault.info == 0 ? "%s of LAPACK was given numbers that are not finite" :
				 "%s of LAPACK reports %d", state->fault.function, state->fault.info);
	loss->failure = state->failure;
}

/* As many anchors as there are rows at most; λ by the kernel; and the rows of a block. */
static void
ridge_resolve(TrainOptions *options, const BatchSource *source)
{
	RidgeOptions *own = ridge_options(options);
	size_t		widest = own->dimensions + source->classes;
	size_t		block;

	if (own->anchors > source->rows)
		own->anchors = source->rows;
	if (own->ridge == 0)
		own->ridge = own->anchors > 0 ? RIDGE_RBF : RIDGE_LINEAR;
	widest = widest < (size_t) own->anchors ? (size_t) own->anchors : widest;
	if (!source->image_sparse || own->anchors == 0)
		widest = widest < (size_t) source->image_columns ? (size_t) source->image_columns : widest;
	if (!source->text_sparse || own->anchors == 0)
		widest = widest < (size_t) source->text_columns ? (size_t) source->text_columns : widest;
	block = RIDGE_BLOCK_FLOATS / widest;
	options->batch_size = block > RIDGE_BLOCK ? RIDGE_BLOCK : block < 64 ? 64 : (int) block;
	if (options->batch_size > source->rows)
		options->batch_size = source->rows;
}

static void
ridge_hidden_layers(const TrainOptions *options, HiddenLayers hidden[2])
{
	hidden[0] = hidden[1] = network_kernel(ridge_options(options)->anchors);
}

static void
ridge_reserve_side(Trainer *trainer, ArenaPlan *plan, int s)
{
	RidgeState *state = ridge_state(trainer);
	RidgeSide  *side = &state->side[s];
	HiddenLayers hidden = network_kernel(ridge_options(&trainer->options)->anchors);
	size_t		n;

	n = side->units = hidden.count > 0 ? hidden.units[0] : side->columns;
	side->count = network_parameters(side->columns, &hidden, trainer->options.bits);
	side->parameters = arena_reserve(plan, side->count, sizeof(float));
	if (side->parameters != NULL)
		network_layout(&side->network, side->columns, &hidden, trainer->options.bits, side->parameters, plan->env);
	side->centre = arena_reserve(plan, n, sizeof(float));
	side->solution = arena_reserve(plan, n * state->target, sizeof(double));
	block_sum_reserve(&side->gram, plan, n * n);
	block_sum_reserve(&side->cross, plan, n * state->target);
	side->g = arena_reserve(plan, state->block * n, sizeof(float));
	side->kept = NULL;
	if (n * trainer->source.rows <= RIDGE_KEPT_FLOATS / 2)
		side->kept = arena_reserve(plan, n * trainer->source.rows, sizeof(float));
	side->weight = arena_reserve(plan, n * state->target, sizeof(float));
	side->shift = arena_reserve(plan, state->target, sizeof(float));
}

/* The doubles that are carried from phase to phase, beside the sums, lie together. */
static void
ridge_reserve_numbers(RidgeState *state, ArenaPlan *plan)
{
	double	   *at;
	int			s;

	state->count = 1 + state->target + (size_t) state->common * state->target;
	for (s = 0; s < 2; s++)
		state->count += 1 + (size_t) state->side[s].columns + state->side[s].units;
	at = state->numbers = arena_reserve(plan, state->count, sizeof(double));
	if (at == NULL)
		return;
	for (s = 0; s < 2; s++)
	{
		state->side[s].mean = at;
		state->side[s].moved = state->side[s].mean + state->side[s].columns;
		state->side[s].factor = state->side[s].moved + state->side[s].units;
		at = state->side[s].factor + 1;
	}
	state->target_mean = at;
	state->target_square = state->target_mean + state->target;
	state->basis = state->target_square + 1;
}

static size_t
ridge_eigen_work(const RidgeState *state, int bits)
{
	size_t		work = state->fused > 0 ? eigen_work(state->subspace) : 0;
	size_t		leading = leading_work(state->target, state->common);
	size_t		polar = polar_work(state->common, bits);

	work = work < leading ? leading : work;
	return work < polar ? polar : work;
}

/* What the rotation takes. */
static void
ridge_reserve_rotation(Trainer *trainer, ArenaPlan *plan)
{
	RidgeState *state = ridge_state(trainer);
	size_t		bits = trainer->options.bits;
	size_t		d = state->common;
	size_t		widest = state->side[0].units > state->side[1].units ? state->side[0].units : state->side[1].units;

	state->rotated = 2 * (trainer->source.rows < RIDGE_ROTATED ? trainer->source.rows : RIDGE_ROTATED);
	state->chunk = RIDGE_BLOCK_FLOATS / bits > 4096 ? 4096 : RIDGE_BLOCK_FLOATS / bits;
	state->kept = NULL;
	if (trainer->source.rows <= RIDGE_ROTATED && 2 * (size_t) trainer->source.rows * state->target <= RIDGE_KEPT_FLOATS)
		state->kept = arena_reserve(plan, 2 * (size_t) trainer->source.rows * state->target, sizeof(float));
	state->h = arena_reserve(plan, state->rotated * d, sizeof(float));
	state->weight_of_basis = arena_reserve(plan, d * state->target, sizeof(float));
	state->turned = arena_reserve(plan, state->chunk * bits, sizeof(float));
	state->rotation = arena_reserve(plan, d * bits, sizeof(float));
	state->agreement = arena_reserve(plan, d * bits, sizeof(float));
	state->exact_rotation = arena_reserve(plan, d * bits, sizeof(double));
	state->exact_agreement = arena_reserve(plan, d * bits, sizeof(double));
	state->mixed = arena_reserve(plan, state->target * bits, sizeof(double));
	state->column_block = arena_reserve(plan, widest * (bits < RIDGE_COLUMNS ? bits : RIDGE_COLUMNS), sizeof(double));
}

static void
ridge_reserve(Trainer *trainer, ArenaPlan *plan)
{
	const RidgeOptions *own = ridge_options(&trainer->options);
	const BatchSource *source = &trainer->source;
	RidgeState *state = ridge_state(trainer);
	int			t;
	int			s;

	state->block = trainer->options.batch_size;
	for (s = 0; s < 2; s++)
	{
		state->side[s].columns = s == 0 ? source->image_columns : source->text_columns;
		state->side[s].sparse = s == 0 ? source->image_sparse : source->text_sparse;
		state->side[s].share = s == 0 ? 1 - own->text_weight : own->text_weight;
	}
	state->classes = own->label_mix < 1 ? source->classes : 0;
	if (state->classes == 0 || own->label_mix > 0)
		fused_reserve(trainer, plan);
	else
		for (s = 0; s < 2; s++)
			state->side[s].inverse = arena_reserve(plan, state->block, sizeof(float));
	t = state->target = state->classes + state->fused;
	state->common = t < RIDGE_COMMON ? t : RIDGE_COMMON;
	if (state->common > trainer->options.bits)
		state->common = trainer->options.bits;
	for (s = 0; s < 2; s++)
		ridge_reserve_side(trainer, plan, s);
	ridge_reserve_numbers(state, plan);
	state->numbers_of_block = arena_reserve(plan, state->block, sizeof(int32_t));
	state->permutation = arena_reserve(plan, source->rows, sizeof(int32_t));
	state->z = arena_reserve(plan, (size_t) state->block * t, sizeof(float));
	state->e = arena_reserve(plan, (size_t) state->block * t, sizeof(float));
	block_sum_reserve(&state->spread, plan, (size_t) t * t);
	ridge_reserve_rotation(trainer, plan);
	state->eigen = arena_reserve(plan, ridge_eigen_work(state, trainer->options.bits), sizeof(double));
	trainer->image_network = &state->side[0].network;
	trainer->text_network = &state->side[1].network;
}

/* Everything is made by the phases. */
static void
ridge_prepare(Trainer *trainer)
{
}

static TrainerState
ridge_doubles(const char *name, double *numbers, size_t count)
{
	return (TrainerState) {name, (float *) numbers, 2 * count, true};
}

/* Doubles go as pairs of floats, bit by bit. */
static int
ridge_list_state(Trainer *trainer, TrainerState states[TRAINER_MAX_STATES])
{
	static const char *const names[2][6] = {
		{"image.parameters", "image.centre", "image.subspace", "image.gram", "image.cross", "image.solution"},
		{"text.parameters", "text.centre", "text.subspace", "text.gram", "text.cross", "text.solution"}
	};
	RidgeState *state = ridge_state(trainer);
	int			count = 0;
	int			s;

	for (s = 0; s < 2; s++)
	{
		RidgeSide  *side = &state->side[s];

		states[count++] = (TrainerState) {names[s][0], side->parameters, side->count, false};
		states[count++] = (TrainerState) {names[s][1], side->centre, side->units, false};
		states[count++] = (TrainerState) {names[s][2], side->subspace, state->fused > 0 ? (size_t) side->columns * state->subspace : 0, false};
		states[count++] = ridge_doubles(names[s][3], side->gram.total, side->gram.count);
		states[count++] = ridge_doubles(names[s][4], side->cross.total, side->cross.count);
		states[count++] = ridge_doubles(names[s][5], side->solution, side->cross.count);
	}
	states[count++] = ridge_doubles("numbers", state->numbers, state->count);
	return count;
}

#define OWN(field, type, min, max, initial, decides_memory, meaning) \
	{#field, type, OWN_OFFSET(RidgeOptions, field), min, max, initial, NULL, decides_memory, meaning}

static const OptionSpec ridge_option_table[] = {
	OPTION(seed, OPTION_SEED, 0, 9007199254740991.0, 1, "decides every random choice"),
	OPTION(validation_fraction, OPTION_NUMBER, 0, 0.9, 0, "share of the pairs held out to measure mAP on"),
	OPTION(checkpoint_seconds, OPTION_NUMBER, 0, OPTION_UNLIMITED, 30, "between two checkpoints"),
	OWN(anchors, OPTION_INTEGER, 0, 16384, 1000, true, "radial basis functions of a side; 0: linear"),
	OWN(kernel_width, OPTION_NUMBER, 1e-3, 1e3, 0.3, false, "their width, in mean squared distances"),
	OWN(ridge, OPTION_NUMBER, 0, 1e3, 0, false, "pull of the regression to 0; 0: 3e-6, or 1e-3 without anchors"),
	OWN(text_weight, OPTION_NUMBER, 0, 1, 0.8, false, "the texts' share of the fused target"),
	OWN(dimensions, OPTION_INTEGER, 1, EIGEN_MAX - 32, 128, true, "of the fused target"),
	OWN(label_mix, OPTION_NUMBER, 0, 1, 0.1, false, "with labels: the fused target's share; 1: without them"),
	OWN(rotations, OPTION_INTEGER, 0, 10000, 50, false, "rounds that fit the rotation"),
	{NULL}
};

_Static_assert(sizeof(RidgeOptions) <= TRAIN_OWN_OPTIONS && sizeof(RidgeState) <= TRAIN_OWN_STATE, "room for its own");

const TrainMethod method_kernel_ridge = {
	.name = "kernel_ridge",
	.options = ridge_option_table,
	.loss_terms = ridge_loss_terms,
	.phases = ridge_phases,
	.not_finite_hint = "Try a greater \"ridge\".",
	.resolve = ridge_resolve,
	.hidden_layers = ridge_hidden_layers,
	.reserve = ridge_reserve,
	.prepare = ridge_prepare,
	.epoch = ridge_epoch,
	.state = ridge_list_state,
};
