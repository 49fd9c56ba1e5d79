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
 * 5. Rotation, H = E·P of at most 1,024 rows of each side: R [d × K] is the
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
#define RIDGE_ROTATED 1024		/* most rows of a side that the rotation is fitted to */
#define RIDGE_BLOCK 1024		/* most rows of a block */
#define RIDGE_BLOCK_FLOATS (4 << 20)	/* about the most numbers of a block */
#define RIDGE_KEPT_FLOATS (16 << 20)	/* about the most that is kept instead of computed again */
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
	/* A matrix that is not positive definite is one by more on its diagonal. */
	loss->hint_helps = state->fault.function != NULL && strcmp(state->fault.function, "dpotrf") == 0 && state->fault.info > 0;
}

/* As many anchors as there are rows at most; λ by the kernel; and the rows of a block. */
static void
ridge_resolve(TrainOptions *options, const BatchSource *source)
{
	RidgeOptions *own = ridge_options(options);
	size_t		widest;
	size_t		block;

	if (own->dimensions == 0)
		own->dimensions = options->bits > 64 ? 128 : 64;
	widest = own->dimensions + source->classes;
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
	if (2 * (size_t) trainer->source.rows * state->target <= RIDGE_KEPT_FLOATS)
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
	size_t		widest;
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
	widest = state->side[0].units > state->side[1].units ? state->side[0].units : state->side[1].units;
	state->side[0].g = state->side[1].g = arena_reserve(plan, state->block * widest, sizeof(float));
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
	OWN(dimensions, OPTION_INTEGER, 0, EIGEN_MAX - 32, 0, true, "of the fused target; 0: 64, or 128 for more than 64 bits"),
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
	.load = lapack_load,
	.resolve = ridge_resolve,
	.hidden_layers = ridge_hidden_layers,
	.reserve = ridge_reserve,
	.prepare = ridge_prepare,
	.epoch = ridge_epoch,
	.state = ridge_list_state,
};
