/*
 * test_network.c: forward pass and encoding: against plain loops in double, and
 * against themselves: a row alone, in a batch, dense, sparse, by BLAS with one
 * and two threads, by loops of ours; all must give the same bits, also where
 * outputs are made to cancel.
 *
 * usage: test_network [SEED]
 */
#include "core_test.h"

static Network
make_deep_network(int inputs, const HiddenLayers *hidden, int outputs, double scale)
{
	Network		network;
	float	   *parameters;
	size_t		count = network_parameters(inputs, hidden, outputs);
	size_t		i;

	parameters = ALLOCATE(float, count);
	for (i = 0; i < count; i++)
		parameters[i] = scale * draw_normal();
	network_layout(&network, inputs, hidden, outputs, parameters, &env);
	return network;
}

static Network
make_network(int inputs, int units, int outputs, double scale)
{
	HiddenLayers hidden = network_hidden(units);

	return make_deep_network(inputs, &hidden, outputs, scale);
}

/* Unit anchors in the columns of a kernel's hidden layer, and widths about `width`. */
static void
set_anchors(Network *network, double width)
{
	const Layer *layer = &network->layer[0];
	int			i;
	int			j;

	for (j = 0; j < layer->outputs; j++)
	{
		double		square = 0;

		for (i = 0; i < layer->inputs; i++)
			square += pow(layer->weight[(size_t) i * layer->outputs + j], 2);
		for (i = 0; i < layer->inputs; i++)
			layer->weight[(size_t) i * layer->outputs + j] /= sqrt(square);
		layer->bias[j] = width * (1 + draw());
	}
}

static Network
make_kernel(int inputs, int anchors, int outputs, double width)
{
	HiddenLayers hidden = network_kernel(anchors);
	Network		network = make_deep_network(inputs, &hidden, outputs, 1);

	if (anchors > 0)
		set_anchors(&network, width);
	return network;
}

/* Up to seven hidden layers. */
static HiddenLayers
draw_hidden(int most_units)
{
	HiddenLayers hidden = {0};
	int			i;

	hidden.count = draw_below(NETWORK_MAX_LAYERS);
	for (i = 0; i < hidden.count; i++)
		hidden.units[i] = 1 + draw_below(most_units);
	return hidden;
}

static void
check_layout(void)
{
	Network		linear;
	Network		deep;
	Network		deepest;
	HiddenLayers none = network_hidden(0);
	HiddenLayers one = network_hidden(4);
	HiddenLayers seven = {.count = 7, .units = {4, 2, 1, 3, 2, 5, 6}};

	network_layout(&linear, 5, &none, 3, NULL, &env);
	network_layout(&deep, 5, &one, 3, NULL, &env);
	network_layout(&deepest, 5, &seven, 3, NULL, &env);
	check(network_parameters(5, &none, 3) == 18 && linear.layers == 1 && linear.units == 0 &&
		  linear.layer[0].bias == linear.layer[0].weight + 15, "layout of a linear network");
	check(network_parameters(5, &seven, 3) == 24 + 10 + 3 + 6 + 8 + 15 + 36 + 21 && deepest.layers == 8 &&
		  deepest.units == 23 && deepest.layer[7].bias + 3 == deepest.layer[0].weight + network_parameters(5, &seven, 3) &&
		  deepest.layer[6].inputs == 5 && deepest.layer[6].outputs == 6, "layout of a network of eight layers");
	check(network_parameters(5, &one, 3) == 24 + 15 && deep.layers == 2 &&
		  deep.layer[0].bias == deep.layer[0].weight + 20 && deep.layer[1].weight == deep.layer[0].weight + 24 &&
		  deep.layer[1].bias == deep.layer[0].weight + 36, "layout of a network with a hidden layer");
}

static void
try_kernel(double *worst)
{
	int			rows = 1 + draw_below(9);
	int			inputs = 1 + draw_below(40);
	bool		sparse = draw() < 0.5;
	Network		network = make_kernel(inputs, draw_below(40), 1 + draw_below(80), 0.3);
	float	   *matrix = draw_matrix(rows, inputs, sparse ? 0.3 : 1);
	Features	features = make_features(matrix, NULL, rows, inputs, sparse);
	Exact		exact = exact_copy(&network);
	float	   *scratch = ALLOCATE(float, rows * (network.units + 1));
	float	   *found = ALLOCATE(float, rows * network.outputs);
	double	   *expected = ALLOCATE(double, rows * network.outputs);

	exact_forward(&exact, matrix, NULL, rows, expected);
	network_forward(&env, &network, &features, scratch, found);
	*worst = fmax(*worst, relative_error(found, expected, (size_t) rows * network.outputs));
	free_all();
}

static void
try_forward(double *worst)
{
	int			rows = 1 + draw_below(9);
	int			inputs = 1 + draw_below(40);
	HiddenLayers hidden = draw_hidden(40);
	int			outputs = 1 + draw_below(80);
	bool		sparse = draw() < 0.5;
	Network		network = make_deep_network(inputs, &hidden, outputs, 1);
	float	   *matrix = draw_matrix(rows, inputs, sparse ? 0.3 : 1);
	Features	features = make_features(matrix, NULL, rows, inputs, sparse);
	Exact		exact = exact_copy(&network);
	float	   *scratch = ALLOCATE(float, rows * (network.units + 1));
	float	   *found = ALLOCATE(float, rows * outputs);
	double	   *expected = ALLOCATE(double, rows * outputs);

	exact_forward(&exact, matrix, NULL, rows, expected);
	network_forward(&env, &network, &features, scratch, found);
	*worst = fmax(*worst, relative_error(found, expected, (size_t) rows * outputs));
	free_all();
}

/* Bits of all rows, in batches of some size. */
static uint8_t *
encode(const Network *network, const float *matrix, int rows, bool sparse, int batch)
{
	int			bytes = (network->outputs + 7) / 8;
	uint8_t    *codes = ALLOCATE(uint8_t, (size_t) rows * bytes);
	float	   *scratch = ALLOCATE(float, (size_t) batch * (network->units + 1));
	float	   *outputs = ALLOCATE(float, (size_t) batch * network->outputs);
	int			i;

	for (i = 0; i < rows; i += batch)
	{
		int			count = rows - i < batch ? rows - i : batch;
		Features	features = make_features(matrix + (size_t) i * network->inputs, NULL, count, network->inputs, sparse);

		network_encode(&env, network, &features, scratch, outputs, codes + (size_t) i * bytes);
	}
	return codes;
}

/*
 * Outputs that are 0 but for rounding: twin inputs of a third of the rows with
 * opposite weights, and output k of row k, by the bias.
 */
static void
plant_cancellation(Network *network, float *matrix, int rows)
{
	const Layer *first = &network->layer[0];
	const Layer *last = &network->layer[network->layers - 1];
	double	   *outputs = ALLOCATE(double, (size_t) rows * network->outputs);
	Exact		exact;
	int			unit = first->outputs > 1 ? 1 : 0;
	int			i;
	int			j;

	for (i = 0; i < rows; i += 3)
		for (j = 0; j + 1 < first->inputs; j += 2)
		{
			matrix[(size_t) i * first->inputs + j + 1] = matrix[(size_t) i * first->inputs + j];
			first->weight[(size_t) (j + 1) * first->outputs + unit] = -first->weight[(size_t) j * first->outputs + unit];
		}
	exact = exact_copy(network);
	exact_forward(&exact, matrix, NULL, rows, outputs);
	for (i = 0; i < last->outputs && i < rows; i += 2)
		last->bias[i] -= outputs[(size_t) i * network->outputs + i];
}

/* Bits by the sign of the exact output; counts those that float would have to guess. */
static int
compare_exact(const Network *network, const float *matrix, int rows, const uint8_t *codes, int *wrong)
{
	Exact		exact = exact_copy(network);
	int			bytes = (network->outputs + 7) / 8;
	double	   *outputs = ALLOCATE(double, (size_t) rows * network->outputs);
	int			close = 0;
	int			i;
	int			k;

	exact_forward(&exact, matrix, NULL, rows, outputs);
	for (i = 0; i < rows; i++)
		for (k = 0; k < network->outputs; k++)
		{
			double		h = outputs[(size_t) i * network->outputs + k];
			bool		bit = codes[i * bytes + k / 8] >> (7 - k % 8) & 1;

			close += fabs(h) < 1e-5;
			*wrong += fabs(h) > 1e-12 && bit != (h > 0);	/* nearer than that double rounds too */
		}
	return close;
}

static void
check_network_agrees(Network network, int rows, double density)
{
	int			inputs = network.inputs;
	int			outputs = network.outputs;
	float	   *matrix = draw_matrix(rows, inputs, density);
	size_t		bytes = (size_t) rows * ((outputs + 7) / 8);
	uint8_t    *alone;
	int			wrong = 0;
	int			close;
	bool		same = true;
	int			threads;

	plant_cancellation(&network, matrix, rows);
	alone = encode(&network, matrix, rows, false, 1);	/* not prepared: works it out */
	network_prepare(&env, &network);
	same &= memcmp(alone, encode(&network, matrix, rows, false, 1), bytes) == 0;
	same &= memcmp(alone, encode(&network, matrix, rows, true, 1), bytes) == 0;
	same &= memcmp(alone, encode(&network, matrix, rows, true, 50), bytes) == 0;
	for (threads = 1; threads <= 2; threads++)
	{
		blas_set_threads(threads);
		same &= memcmp(alone, encode(&network, matrix, rows, false, 3), bytes) == 0;
		same &= memcmp(alone, encode(&network, matrix, rows, false, 7), bytes) == 0;
		same &= memcmp(alone, encode(&network, matrix, rows, false, rows), bytes) == 0;
	}
	blas_set_threads(1);
	close = compare_exact(&network, matrix, rows, alone, &wrong);
	check(same, "%d → %d in %d → %d, %d rows of density %.2f%s: alone, in batches, dense, sparse, 1 and 2 threads agree",
		  inputs, network.units, network.layers - 1, outputs, rows, density, network.kernel != KERNEL_NONE ? ", kernel" : "");
	check(wrong == 0 && close > 0, "and have the exact signs (%d outputs within 1e-5 of 0)", close);
	free_all();
}

static void
check_agreement(int inputs, HiddenLayers hidden, int outputs, int rows, double density)
{
	check_network_agrees(make_deep_network(inputs, &hidden, outputs, 0.2), rows, density);
}

static void
check_kernel_agreement(int inputs, int anchors, int outputs, int rows, double density)
{
	check_network_agrees(make_kernel(inputs, anchors, outputs, 0.1 + draw()), rows, density);
}

/*
 * Kernels on rows that are nought, all but nought, or so long that sums of them
 * overflow; and with widths and anchors that only a hand-made model can have.
 */
static void
check_kernel_extremes(void)
{
	static const float scales[] = {0, 1e-38f, 1e-12f, 1e-11f, 1, 1e18f, 1e31f, 3e37f};
	static const float widths[] = {1e-6f, 0.01f, 0.3f, 1e6f, 0, -1, 0.3f};
	int			trial;

	for (trial = 0; trial < 56; trial++)
	{
		float		scale = scales[trial % 8];
		float		width = widths[trial / 8];
		Network		network = make_kernel(200, trial % 3 == 0 ? 0 : 60, 40, 0.3);
		float	   *matrix = draw_matrix(16, 200, 1);
		size_t		bytes = 16 * 5;
		uint8_t    *alone;
		bool		same = true;
		int			wrong = 0;
		size_t		i;

		for (i = 0; i < (size_t) 16 * 200; i++)
			matrix[i] = fminf(fmaxf(matrix[i] * scale, -3e38f), 3e38f);
		for (i = 0; i < (size_t) network.units; i++)
			network.layer[0].bias[i] = width;
		for (i = 0; i < (size_t) 200 * network.units && trial / 8 == 6; i++)
			network.layer[0].weight[i] *= 1e8f;
		alone = encode(&network, matrix, 16, false, 1);
		same &= memcmp(alone, encode(&network, matrix, 16, true, 1), bytes) == 0;
		same &= memcmp(alone, encode(&network, matrix, 16, false, 16), bytes) == 0;
		same &= memcmp(alone, encode(&network, matrix, 16, true, 16), bytes) == 0;
		same &= memcmp(alone, encode(&network, matrix, 16, false, 5), bytes) == 0;
		if (trial / 8 < 4)
			compare_exact(&network, matrix, 16, alone, &wrong);
		check(same && wrong == 0, "%d anchors, features about %.0e, widths %g%s: alone and in batches agree, %d wrong",
			  network.units, scale, width, trial / 8 == 6 ? ", anchors of 1e8" : "", wrong);
		free_all();
	}
}

/*
 * Every output of every row is recomputed: hidden units come in twins that
 * cancel, and small biases are left, which tell the signs.
 */
static void
check_all_recomputed(int inputs, int hidden, int outputs, int rows)
{
	Network		network = make_network(inputs, hidden, outputs, 0.2);
	float	   *matrix = draw_matrix(rows, inputs, 1);
	const Layer *first = &network.layer[0];
	const Layer *last = &network.layer[1];
	int			bytes = (outputs + 7) / 8;
	uint8_t    *alone;
	int			wrong = 0;
	int			close;
	int			i;
	int			j;
	int			k;

	for (j = 0; j + 1 < hidden; j += 2)
	{
		for (i = 0; i < inputs; i++)
			first->weight[(size_t) i * hidden + j + 1] = first->weight[(size_t) i * hidden + j];
		first->bias[j + 1] = first->bias[j];
		for (k = 0; k < outputs; k++)
			last->weight[(size_t) (j + 1) * outputs + k] = -last->weight[(size_t) j * outputs + k];
	}
	for (k = 0; k < outputs; k++)
		last->bias[k] = (k % 3 == 0 ? -1e-8f : 1e-8f) * (1 + k);
	network_prepare(&env, &network);
	alone = encode(&network, matrix, rows, false, 1);
	close = compare_exact(&network, matrix, rows, alone, &wrong);
	check(close == rows * outputs && wrong == 0, "%d → %d → %d, %d rows: %d outputs to recompute, %d wrong",
		  inputs, hidden, outputs, rows, close, wrong);
	check(memcmp(alone, encode(&network, matrix, rows, false, rows), (size_t) rows * bytes) == 0,
		  "and the same in one batch");
	check(memcmp(alone, encode(&network, matrix, rows, true, 11), (size_t) rows * bytes) == 0,
		  "and in batches of 11 sparse rows");
	free_all();
}

/* How bits are packed, zero rows, and that a zero output gives 0. */
static void
check_packing(void)
{
	float		parameters[2 * 11 + 11] = {0};
	float		rows[4] = {1, 0, 0, 0};
	Network		network;
	HiddenLayers none = {0};
	uint8_t    *codes;

	network_layout(&network, 2, &none, 11, parameters, &env);
	parameters[0] = 1;
	parameters[3] = -1;
	parameters[8] = 1e-30f;
	parameters[10] = 2;
	codes = encode(&network, rows, 2, false, 2);
	check(codes[0] == 0x80 && codes[1] == 0xA0, "first output in the highest bit, padding 0: %02x %02x", codes[0], codes[1]);
	check(codes[2] == 0 && codes[3] == 0, "outputs of 0 give bits 0");
	free_all();
}

/*
 * Weights so great that sums overflow, and so small that squares vanish: a row
 * alone and in a batch must agree all the same, and finite results be right.
 */
static void
check_extremes(void)
{
	static const float scales[] = {1e-30f, 1e-20f, 1e18f, 1e25f, 3e37f};
	int			trial;

	for (trial = 0; trial < 40; trial++)
	{
		HiddenLayers hidden = {.count = trial % 4, .units = {60, 40, 50}};
		float		scale = scales[trial / 4 % 5];
		bool		planted = trial < 20 && scale < 1e30f;
		Network		network = make_deep_network(200, &hidden, 40, 1);
		float	   *matrix = draw_matrix(16, 200, 1);
		size_t		bytes = 16 * 5;
		uint8_t    *alone;
		bool		same = true;
		int			wrong = 0;
		size_t		i;

		for (i = 0; i < (size_t) 200 * network.layer[0].outputs; i++)
			network.layer[0].weight[i] *= scale;
		if (planted)
			plant_cancellation(&network, matrix, 16);
		alone = encode(&network, matrix, 16, false, 1);
		same &= memcmp(alone, encode(&network, matrix, 16, true, 1), bytes) == 0;
		same &= memcmp(alone, encode(&network, matrix, 16, false, 16), bytes) == 0;
		same &= memcmp(alone, encode(&network, matrix, 16, false, 5), bytes) == 0;
		if (scale > 1 && !planted)
			compare_exact(&network, matrix, 16, alone, &wrong);
		check(same && wrong == 0, "weights about %.0e, %d layers%s: alone and in batches agree, %d wrong",
			  scale, network.layers, planted ? ", outputs made to cancel" : "", wrong);
		free_all();
	}
}

int
main(int argc, char **argv)
{
	double		worst = 0;
	int			i;

	test_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	for (i = 0; i < 100; i++)
		try_forward(&worst);
	check(worst < 1e-5, "100 random networks, no BLAS: relative error %.1e, tolerance 1e-05", worst);
	start("network", argc, argv);
	worst = 0;
	for (i = 0; i < 200; i++)
		try_forward(&worst);
	check(worst < 1e-5, "200 random networks: relative error %.1e, tolerance 1e-05", worst);
	worst = 0;
	for (i = 0; i < 200; i++)
		try_kernel(&worst);
	check(worst < 1e-5, "200 random kernels: relative error %.1e, tolerance 1e-05", worst);
	check_layout();
	check_packing();
	check_agreement(1280, network_hidden(0), 64, 200, 1);
	check_agreement(1000, network_hidden(0), 64, 200, 0.02);
	check_agreement(37, network_hidden(0), 200, 150, 1);
	check_agreement(300, network_hidden(0), 1, 100, 0.5);
	check_agreement(300, network_hidden(70), 64, 100, 1);
	check_agreement(500, network_hidden(1100), 96, 60, 0.05);
	check_agreement(640, network_hidden(513), 17, 60, 1);
	check_agreement(300, (HiddenLayers) {.count = 2, .units = {130, 70}}, 64, 100, 1);
	check_agreement(400, (HiddenLayers) {.count = 3, .units = {257, 64, 300}}, 96, 60, 0.05);
	check_agreement(64, (HiddenLayers) {.count = 7, .units = {40, 50, 33, 60, 1, 70, 20}}, 33, 100, 1);
	for (i = 0; i < 40; i++)
		check_agreement(1 + draw_below(200), draw_hidden(150), 1 + draw_below(100), 24, draw() < 0.5 ? 1 : 0.1);
	check_kernel_agreement(1280, 0, 64, 200, 1);
	check_kernel_agreement(1000, 0, 64, 200, 0.02);
	check_kernel_agreement(1280, 1000, 64, 60, 1);
	check_kernel_agreement(1000, 1000, 64, 60, 0.02);
	check_kernel_agreement(10, 4100, 33, 40, 1);
	for (i = 0; i < 40; i++)
		check_kernel_agreement(1 + draw_below(200), draw_below(150), 1 + draw_below(100), 24, draw() < 0.5 ? 1 : 0.1);
	check_extremes();
	check_kernel_extremes();
	check_all_recomputed(50, 1200, 150, 30);
	check_all_recomputed(33, 4098, 64, 21);
	return finish("network");
}
