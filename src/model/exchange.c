/*
 * model/exchange.c: models as safetensors files, out and in.
 *
 * The layout is PyTorch's of nn.Sequential(Linear, ReLU, …, Linear), where only
 * every second module has tensors: weights are [outputs, inputs] there, and the
 * transpose here.  With a kernel it is nn.Sequential(Kernel, Linear): module 0
 * brings rows to unit length and, of radial basis functions, has anchors
 * [units, inputs] and widths; module 1 is the linear layer.  So a network has
 * a kernel if there is a tensor "1.weight".  What comes in is checked
 * in full before a row is written: shapes against each other, and every number
 * to be finite.
 *
 * One file because both ways go by the same list of tensors (TensorPlace): what
 * is written and what is read cannot differ.
 */
#include "model/model.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "core/safetensors.h"
#include "tcop/utility.h"
#include "server/core_env.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define FORMAT_NAME "xmhash 1"
#define FORMAT_NAME_KERNEL "xmhash 2"	/* of a model with a kernel */

/* The tensors of one model, as pointers into its networks. */
typedef struct TensorPlace
{
	char		name[32];
	float	   *values;
	int			rows;			/* outputs of a weight, else the length */
	int			columns;		/* inputs of a weight, else 0 */
} TensorPlace;

#define MAX_PLACES (2 * (2 * NETWORK_MAX_LAYERS + 2))

/* The tensor of a layer: "0.weight", "2.weight" and so on, as nn.Sequential numbers its modules. */
static char *
exchange_layer_tensor(int layer, const char *part)
{
	return psprintf("%d.%s", 2 * layer, part);
}

/* The same with a kernel, whose last layer is module 1, whether or not module 0 has tensors. */
static char *
exchange_kernel_tensor(bool is_last, bool is_weight)
{
	if (is_last)
		return is_weight ? "1.weight" : "1.bias";
	return is_weight ? "0.anchors" : "0.width";
}

static void
exchange_add_place(TensorPlace *places, int *count, const char *modality, const char *name,
				   float *values, int rows, int columns)
{
	TensorPlace *place = &places[(*count)++];

	snprintf(place->name, sizeof(place->name), "%s.%s", modality, name);
	place->values = values;
	place->rows = rows;
	place->columns = columns;
}

/* Every tensor of a model with its place in memory and its shape in a file. */
static int
exchange_list_places(const ModelRow *row, ModelWeights *weights, TensorPlace places[MAX_PLACES])
{
	int			count = 0;
	int			side;

	for (side = 0; side < 2; side++)
	{
		const char *modality = modality_name[side];
		Network    *network = &weights->network[side];
		int			i;

		for (i = 0; i < network->layers; i++)
		{
			Layer	   *layer = &network->layer[i];
			bool		kernel = network->kernel != KERNEL_NONE;
			bool		is_last = i == network->layers - 1;

			exchange_add_place(places, &count, modality, kernel ? exchange_kernel_tensor(is_last, true) : exchange_layer_tensor(i, "weight"),
							   layer->weight, layer->outputs, layer->inputs);
			exchange_add_place(places, &count, modality, kernel ? exchange_kernel_tensor(is_last, false) : exchange_layer_tensor(i, "bias"),
							   layer->bias, layer->outputs, 0);
		}
		if (row->scales[side] == 0)
			continue;
		exchange_add_place(places, &count, modality, "shift", weights->shift[side], row->scales[side], 0);
		exchange_add_place(places, &count, modality, "scale", weights->scale[side], row->scales[side], 0);
	}
	return count;
}

static size_t
exchange_place_elements(const TensorPlace *place)
{
	return (size_t) place->rows * Max(place->columns, 1);
}

static void
exchange_put_float(char *to, float value)
{
	uint32		word;

	memcpy(&word, &value, sizeof(word));
#ifdef WORDS_BIGENDIAN
	word = pg_bswap32(word);
#endif
	memcpy(to, &word, sizeof(word));
}

/* [columns × rows] in memory, [rows × columns] in the file; or a plain list. */
static void
exchange_write_tensor(const TensorPlace *place, char *to)
{
	int			i;
	int			j;

	for (i = 0; i < place->rows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (place->columns == 0)
			exchange_put_float(to + 4 * (size_t) i, place->values[i]);
		for (j = 0; j < place->columns; j++)
			exchange_put_float(to + 4 * ((size_t) i * place->columns + j),
							   place->values[(size_t) j * place->rows + i]);
	}
}

static bool
exchange_has_kernel(const ModelRow *row)
{
	return row->hidden[MODALITY_IMAGE].kernel != KERNEL_NONE || row->hidden[MODALITY_TEXT].kernel != KERNEL_NONE;
}

static char *
exchange_class_names_to_json(const ModelRow *row)
{
	StringInfoData json;

	initStringInfo(&json);
	json_append_strings(&json, row->class_names, row->classes);
	return json.data;
}

/* The header, in the database's encoding; returns the bytes of data. */
static size_t
exchange_write_header(StringInfo header, const ModelRow *row, const TensorPlace *places, int count)
{
	size_t		at = 0;
	int			i;

	appendStringInfoString(header, "{\"__metadata__\":{");
	json_put_string(header, "format", exchange_has_kernel(row) ? FORMAT_NAME_KERNEL : FORMAT_NAME);
	json_put_string(header, "method", row->method);
	json_put_string(header, "bits", psprintf("%d", row->bits));
	if (model_has(row, MODALITY_IMAGE))
		json_put_string(header, "image_dim", psprintf("%d", row->dimensions[MODALITY_IMAGE]));
	if (model_has(row, MODALITY_TEXT))
		json_put_string(header, "text_dim", psprintf("%d", row->dimensions[MODALITY_TEXT]));
	if (row->classes > 0)
		json_put_string(header, "classes", exchange_class_names_to_json(row));
	appendStringInfoChar(header, '}');
	for (i = 0; i < count; i++)
	{
		size_t		size = exchange_place_elements(&places[i]) * sizeof(float);

		json_put_key(header, places[i].name);
		appendStringInfo(header, "{\"dtype\":\"F32\",\"shape\":[%d", places[i].rows);
		if (places[i].columns > 0)
			appendStringInfo(header, ",%d", places[i].columns);
		appendStringInfo(header, "],\"data_offsets\":[%zu,%zu]}", at, at + size);
		at += size;
	}
	appendStringInfoChar(header, '}');
	return at;
}

XMHASH_FUNCTION(xmhash_export_model);

Datum
xmhash_export_model(PG_FUNCTION_ARGS)
{
	ModelTable	table;
	ModelRow	row;
	CoreEnv env;
	ModelWeights weights;
	TensorPlace places[MAX_PLACES];
	StringInfoData header;
	char	   *utf8;
	size_t		length;
	size_t		size;
	size_t		total;
	bytea	   *result;
	char	   *to;
	int			count;
	int			i;

	env = core_env(CurrentMemoryContext);
	model_open(fcinfo->flinfo->fn_oid, PG_GETARG_OID(0), &table);
	model_find(&table, &row);
	model_read(&table, &row, &env, &weights);
	model_close(&table);
	count = exchange_list_places(&row, &weights, places);
	initStringInfo(&header);
	size = exchange_write_header(&header, &row, places, count);
	utf8 = (char *) pg_do_encoding_conversion((unsigned char *) header.data, header.len,
											  GetDatabaseEncoding(), PG_UTF8);
	length = utf8 == header.data ? (size_t) header.len : strlen(utf8);

	/* Blanks after the header put the data at a multiple of 8. */
	total = VARHDRSZ + 8 + TYPEALIGN(8, length) + size;
	if (!AllocSizeIsValid(total))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("model \"%s\" has %zu bytes, too many for a bytea value", row.name, size)));
	model_check_memory(row.name, total);
	result = palloc(total);
	SET_VARSIZE(result, total);
	to = VARDATA(result);
	memset(to + 8, ' ', TYPEALIGN(8, length));
	memcpy(to + 8, utf8, length);
	length = TYPEALIGN(8, length);
	for (i = 0; i < 8; i++)
		to[i] = (char) ((uint64) length >> (8 * i));
	to += 8 + length;
	for (i = 0; i < count; i++)
	{
		exchange_write_tensor(&places[i], to);
		to += exchange_place_elements(&places[i]) * sizeof(float);
	}
	PG_RETURN_BYTEA_P(result);
}

/* What is imported, and as what. */
typedef struct Import
{
	const char *model;
	SafeTensors file;
} Import;

static void exchange_refuse(const Import *import, const char *format,...) __attribute__((format(printf, 2, 3), noreturn));

/* Every reason not to import a file is one error, with the reason as detail. */
static void
exchange_refuse(const Import *import, const char *format,...)
{
	char		reason[600];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);

	/* What it quotes of the file may be cut, or be no text at all. */
	if (!pg_verify_mbstr(GetDatabaseEncoding(), reason, strlen(reason), true))
		strlcpy(reason, "A name in it is not valid text.", sizeof(reason));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("could not import model \"%s\" from a file in safetensors format", import->model),
			 errdetail_internal("%s", reason)));
}

static char *
exchange_to_server(const char *utf8)
{
	return pstrdup(pg_any_to_server(utf8, strlen(utf8), PG_UTF8));
}

/* A metadata string in the database's encoding; NULL if there is none. */
static char *
exchange_get_metadata(const Import *import, const char *key)
{
	const char *value = safetensors_text(&import->file, key);

	if (value == NULL)
		return NULL;
	if (!pg_verify_mbstr(PG_UTF8, value, strlen(value), true))
		exchange_refuse(import, "Metadata \"%s\" is not valid UTF-8.", key);
	return exchange_to_server(value);
}

/* A tensor of numbers, with that many dimensions or, where one number may stand for all, none; NULL if absent. */
static const SafeTensor *
exchange_find_tensor(const Import *import, const char *modality, const char *name, int dimensions, bool scalar)
{
	const SafeTensor *tensor = safetensors_find(&import->file, psprintf("%s.%s", modality, name));

	if (tensor == NULL)
		return NULL;
	if (tensor->type == SAFE_OTHER)
		exchange_refuse(import, "Tensor \"%s\" has dtype %.20s, expected F32, F16, BF16 or F64.", tensor->name, tensor->dtype);
	if (tensor->dimensions != dimensions && !(scalar && tensor->dimensions == 0))
		exchange_refuse(import, "Tensor \"%s\" has %d dimensions, expected %d.", tensor->name, tensor->dimensions, dimensions);
	return tensor;
}

/* A layer's shape: its weight is [outputs, inputs], its bias, if it has one, [outputs]. */
static void
exchange_read_layer_shape(const Import *import, const char *modality, const char *weight_name, const char *bias_name,
						  int most_inputs, int most_outputs, int *inputs, int *outputs)
{
	const SafeTensor *weight = exchange_find_tensor(import, modality, weight_name, 2, false);
	const SafeTensor *bias = exchange_find_tensor(import, modality, bias_name, 1, false);

	if (weight->shape[1] < 1 || weight->shape[1] > (uint64) most_inputs ||
		weight->shape[0] < 1 || weight->shape[0] > (uint64) most_outputs)
		exchange_refuse(import, "Tensor \"%s\" has shape [%llu, %llu], expected at most [%d, %d], and no zero.", weight->name,
						(unsigned long long) weight->shape[0], (unsigned long long) weight->shape[1],
						most_outputs, most_inputs);
	if (bias != NULL && bias->shape[0] != weight->shape[0])
		exchange_refuse(import, "Tensor \"%s\" has %llu elements, expected %llu.", bias->name,
						(unsigned long long) bias->shape[0], (unsigned long long) weight->shape[0]);
	*inputs = (int) weight->shape[1];
	*outputs = (int) weight->shape[0];
}

/* Shift and scale may be absent; if one has an element a dimension, so have both. */
static int
exchange_read_scales_shape(const Import *import, const char *modality, int dimensions)
{
	static const char *const names[] = {"shift", "scale"};
	int			scales = 1;
	int			i;

	for (i = 0; i < 2; i++)
	{
		const SafeTensor *tensor = exchange_find_tensor(import, modality, names[i], 1, true);

		if (tensor == NULL)
			continue;
		if (tensor->elements != 1 && tensor->elements != (uint64) dimensions)
			exchange_refuse(import, "Tensor \"%s\" has %llu elements, expected 1 or %d.", tensor->name,
							(unsigned long long) tensor->elements, dimensions);
		scales = Max(scales, (int) tensor->elements);
	}
	return scales;
}

/* Widths are one for all anchors, or one each. */
static void
exchange_read_width_shape(const Import *import, const char *modality, int anchors)
{
	const SafeTensor *width = exchange_find_tensor(import, modality, exchange_kernel_tensor(false, false), 1, true);

	if (width == NULL)
		exchange_refuse(import, "There is a tensor \"%s.0.anchors\", but none \"%s.0.width\".", modality, modality);
	if (width->elements != 1 && width->elements != (uint64) anchors)
		exchange_refuse(import, "Tensor \"%s\" has %llu elements, expected 1 or %d.", width->name,
						(unsigned long long) width->elements, anchors);
}

/* A network with a kernel; returns its outputs. */
static int
exchange_read_kernel_shape(const Import *import, const char *modality, int *dimensions, HiddenLayers *hidden)
{
	const SafeTensor *anchors = exchange_find_tensor(import, modality, exchange_kernel_tensor(false, true), 2, false);
	int			inputs;
	int			outputs;

	exchange_read_layer_shape(import, modality, exchange_kernel_tensor(true, true), exchange_kernel_tensor(true, false),
							  anchors != NULL ? NETWORK_MAX_HIDDEN : MODEL_MAX_DIMENSIONS, BITCODE_MAX_BITS, &inputs, &outputs);
	*hidden = network_kernel(anchors != NULL ? inputs : 0);
	*dimensions = inputs;
	if (anchors == NULL)
		return outputs;
	if (anchors->shape[0] != (uint64) inputs || anchors->shape[1] < 1 || anchors->shape[1] > MODEL_MAX_DIMENSIONS)
		exchange_refuse(import, "Tensor \"%s\" has shape [%llu, %llu], expected [%d, 1 to %d].", anchors->name,
						(unsigned long long) anchors->shape[0], (unsigned long long) anchors->shape[1],
						inputs, MODEL_MAX_DIMENSIONS);
	*dimensions = (int) anchors->shape[1];
	exchange_read_width_shape(import, modality, inputs);
	return outputs;
}

/*
 * Layers as far as their numbers go on; each takes what the one before gives.
 * Returns the outputs: 0 if there is no first layer, so no such network.
 */
static int
exchange_read_network_shape(const Import *import, const char *modality, int *dimensions, HiddenLayers *hidden)
{
	int			layers = 0;
	int			outputs = 0;
	int			i;

	while (layers < NETWORK_MAX_LAYERS &&
		   safetensors_find(&import->file, psprintf("%s.%s", modality, exchange_layer_tensor(layers, "weight"))) != NULL)
		layers++;
	for (i = 0; i < layers; i++)
	{
		bool		last = i == layers - 1;
		int			inputs;
		int			units;

		exchange_read_layer_shape(import, modality, exchange_layer_tensor(i, "weight"), exchange_layer_tensor(i, "bias"),
								  i == 0 ? MODEL_MAX_DIMENSIONS : NETWORK_MAX_HIDDEN,
								  last ? BITCODE_MAX_BITS : NETWORK_MAX_HIDDEN, &inputs, &units);
		if (i == 0)
			*dimensions = inputs;
		else if (inputs != outputs)
			exchange_refuse(import, "Tensor \"%s.%s\" takes %d inputs, but \"%s.%s\" gives %d.",
							modality, exchange_layer_tensor(i, "weight"), inputs,
							modality, exchange_layer_tensor(i - 1, "weight"), outputs);
		if (!last)
			hidden->units[hidden->count++] = units;
		outputs = units;
	}
	return outputs;
}

static void
exchange_read_shapes(const Import *import, ModelRow *row)
{
	int			bits[2];
	int			side;

	for (side = 0; side < 2; side++)
	{
		const char *modality = modality_name[side];

		if (safetensors_find(&import->file, psprintf("%s.1.weight", modality)) != NULL)
			bits[side] = exchange_read_kernel_shape(import, modality, &row->dimensions[side], &row->hidden[side]);
		else
			bits[side] = exchange_read_network_shape(import, modality, &row->dimensions[side], &row->hidden[side]);
		if (bits[side] > 0 && row->hidden[side].kernel == KERNEL_NONE)
			row->scales[side] = exchange_read_scales_shape(import, modality, row->dimensions[side]);
	}
	row->bits = Max(bits[0], bits[1]);
	if (row->bits == 0)
		exchange_refuse(import, "It has neither a tensor \"image.0.weight\" or \"image.1.weight\" nor one of these of a text network.");
	if (bits[0] > 0 && bits[1] > 0 && bits[0] != bits[1])
		exchange_refuse(import, "The image network gives %d bits, the text network %d.", bits[0], bits[1]);
}

/* Metadata need not be there, but must not contradict the tensors. */
static void
exchange_check_metadata_number(const Import *import, const char *key, int expected)
{
	char	   *value = exchange_get_metadata(import, key);
	char	   *end;

	if (value == NULL)
		return;
	if (value[0] == '\0' || strspn(value, "0123456789.eE+-") != strlen(value) ||
		strtod(value, &end) != expected || *end != '\0')
		exchange_refuse(import, "Metadata \"%s\" says %.40s, but the tensors say %d.", key, value, expected);
}

static void
exchange_read_class_names(const Import *import, ModelRow *row)
{
	const char *json = safetensors_text(&import->file, "classes");
	const char *name;
	char	   *names;
	int			i;

	if (json == NULL)
		return;
	name = names = palloc(strlen(json) + 1);
	row->classes = safetensors_list(json, names);
	if (row->classes < 0)
		exchange_refuse(import, "Metadata \"classes\" is no JSON array of strings and numbers.");
	row->class_names = palloc((row->classes + 1) * sizeof(char *));
	for (i = 0; i < row->classes; i++)
	{
		if (!pg_verify_mbstr(PG_UTF8, name, strlen(name), true))
			exchange_refuse(import, "Metadata \"classes\" is not valid UTF-8.");
		row->class_names[i] = exchange_to_server(name);
		name += strlen(name) + 1;
	}
}

static void
exchange_read_metadata(const Import *import, ModelRow *row)
{
	char	   *format = exchange_get_metadata(import, "format");

	if (format != NULL && strncmp(format, "xmhash", 6) == 0 && strcmp(format, FORMAT_NAME) != 0 &&
		strcmp(format, FORMAT_NAME_KERNEL) != 0)
		exchange_refuse(import, "Its format is \"%.40s\"; this release reads \"%s\" and \"%s\".", format, FORMAT_NAME, FORMAT_NAME_KERNEL);
	row->method = exchange_get_metadata(import, "method");
	if (row->method == NULL || strlen(row->method) > MODEL_MAX_METHOD)
		row->method = "imported";
	exchange_check_metadata_number(import, "bits", row->bits);
	exchange_check_metadata_number(import, "image_dim", row->dimensions[MODALITY_IMAGE]);
	exchange_check_metadata_number(import, "text_dim", row->dimensions[MODALITY_TEXT]);
	exchange_read_class_names(import, row);
}

/* A tensor's numbers to their place; one element stands for all where it may. */
static void
exchange_read_tensor(const Import *import, const TensorPlace *place, const SafeTensor *tensor)
{
	bool		is_width = strstr(place->name, ".width") != NULL;
	int			i;
	int			j;

	for (i = 0; i < place->rows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (j = 0; j < Max(place->columns, 1); j++)
		{
			size_t		at = tensor->elements == 1 ? 0 : (size_t) i * Max(place->columns, 1) + j;
			double		number = safetensors_number(&import->file, tensor, at);
			float		value = (float) number;

			if (!isfinite(number))
				exchange_refuse(import, "Tensor \"%s\" has a value that is not finite, at element %zu.", place->name, at + 1);
			if (!isfinite(value))
				exchange_refuse(import, "Tensor \"%s\" has %g as element %zu, beyond the range of float32.", place->name, number, at + 1);
			if (is_width && value <= 0)
				exchange_refuse(import, "Tensor \"%s\" has %g as element %zu, expected a width above 0.", place->name, number, at + 1);
			place->values[(size_t) j * place->rows + i] = value;
		}
	}
}

/* The first tensor that has no place in the model, if any, is a reason to refuse the file. */
static void
exchange_check_left_over(const Import *import, const TensorPlace *places, int count)
{
	int			i;
	int			j;

	for (i = 0; i < import->file.tensors; i++)
	{
		for (j = 0; j < count && strcmp(import->file.tensor[i].name, places[j].name) != 0;)
			j++;
		if (j == count)
			exchange_refuse(import, "Tensor \"%.100s\" is none of this model's. Those are image.N.weight and image.N.bias, N counting 0, 2, 4 "
							"to %d at most without a gap, image.shift and image.scale; or with a kernel image.1.weight, image.1.bias, "
							"image.0.anchors and image.0.width; and likewise of text.",
							import->file.tensor[i].name, 2 * (NETWORK_MAX_LAYERS - 1));
	}
}

static void
exchange_read_tensors(const Import *import, const ModelRow *row, ModelWeights *weights)
{
	TensorPlace places[MAX_PLACES];
	int			count = exchange_list_places(row, weights, places);
	int			i;
	int			j;

	exchange_check_left_over(import, places, count);
	for (i = 0; i < count; i++)
	{
		const SafeTensor *tensor = safetensors_find(&import->file, places[i].name);

		if (tensor != NULL)
			exchange_read_tensor(import, &places[i], tensor);
		else					/* only a bias, shift or scale can be missing here */
		{
			for (j = 0; j < places[i].rows; j++)
				places[i].values[j] = strstr(places[i].name, "scale") != NULL ? 1 : 0;
		}
	}
}

XMHASH_FUNCTION(xmhash_import_model);

Datum
xmhash_import_model(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(1);
	const uint8 *data = (const uint8 *) VARDATA_ANY(bytes);
	size_t		size = VARSIZE_ANY_EXHDR(bytes);
	Import	   *import = palloc0(sizeof(Import));
	CoreEnv env;
	ModelWeights weights;
	ModelPlace	place;
	ModelTable	table;
	ModelRow	row;
	Network		networks[2];
	size_t		header;
	int			side;

	PreventCommandIfReadOnly("xmhash_import_model()");
	SPI_connect();
	env = core_env(CurrentMemoryContext);
	model_find_place(PG_GETARG_TEXT_PP(0), &place);
	import->model = place.name;
	if (!safetensors_header(data, size, &import->file, &header) ||
		!safetensors_parse(data, size, palloc(header + 1), &import->file))
		exchange_refuse(import, "The file is malformed: %s.", import->file.error);
	memset(&row, 0, sizeof(row));
	exchange_read_shapes(import, &row);
	row.created = model_now();
	row.status = "imported";
	row.pairs = -1;
	exchange_read_metadata(import, &row);
	model_check_memory(place.name, (double) model_floats(&row) * sizeof(float));
	model_layout(&row, env.allocate(env.arena, model_floats(&row) * sizeof(float)),
				 &env, &weights);
	exchange_read_tensors(import, &row, &weights);
	model_open_own(fcinfo->flinfo->fn_oid, model_create(fcinfo->flinfo->fn_oid, &place), &table);
	model_insert(&table, &row);
	model_write_pieces(&table, MODEL_PART_WEIGHTS, weights.floats, weights.count, NULL);
	model_close(&table);
	side = model_networks(&row, &weights, &env, networks);
	if (side >= 0)
		exchange_refuse(import, "Numbers of its %s network leave the range of float32 once shift and scale are worked into its first layer.",
						modality_name[side]);
	SPI_finish();
	PG_RETURN_VOID();
}
