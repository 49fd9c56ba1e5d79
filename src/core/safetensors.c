/*
 * core/safetensors.c: the safetensors parser.
 *
 * The header is JSON of a fixed shape, so this is no JSON library: it accepts
 * exactly an object of objects, with the keys the format has, and strings and
 * natural numbers where they belong (core/json.c).
 */
#include "core/safetensors.h"

#include "core/json.h"

#include <stdio.h>
#include <string.h>

/* One field of a tensor; `seen` has a bit for each. */
static bool
safetensors_field(JsonParser *parser, SafeTensor *tensor, int *seen)
{
	const char *key = json_string(parser);
	uint64_t	offsets[2];
	int			count = 0;
	int			bit;

	if (key == NULL || !json_expect(parser, ':'))
		return false;
	if (strcmp(key, "dtype") == 0)
	{
		bit = 1;
		tensor->dtype = json_string(parser);
	}
	else if (strcmp(key, "shape") == 0)
	{
		bit = 2;
		json_numbers(parser, tensor->shape, SAFETENSORS_MAX_DIMENSIONS, &tensor->dimensions);
	}
	else if (strcmp(key, "data_offsets") == 0)
	{
		bit = 4;
		if (json_numbers(parser, offsets, 2, &count) && count != 2)
			return json_fail(parser, "tensor \"%.60s\" has %d data offsets, expected 2", tensor->name, count);
		tensor->begin = count == 2 ? offsets[0] : 0;
		tensor->end = count == 2 ? offsets[1] : 0;
	}
	else
		return json_fail(parser, "tensor \"%.60s\" has an unknown field \"%.40s\"", tensor->name, key);
	if (*seen & bit)
		return json_fail(parser, "tensor \"%.60s\" has field \"%.40s\" twice", tensor->name, key);
	*seen |= bit;
	return !parser->failed;
}

static const struct
{
	const char *name;
	SafeType	type;
	int			bytes;
}			readable[] = {
	{"F16", SAFE_F16, 2},
	{"BF16", SAFE_BF16, 2},
	{"F32", SAFE_F32, 4},
	{"F64", SAFE_F64, 8}
};

/* What a tensor says of itself must hold together. */
static bool
safetensors_check_tensor(JsonParser *parser, SafeTensor *tensor)
{
	uint64_t	bytes = tensor->end - tensor->begin;
	int			i;

	tensor->elements = 1;
	for (i = 0; i < tensor->dimensions; i++)
	{
		if (tensor->shape[i] != 0 && tensor->elements > UINT64_MAX / 16 / tensor->shape[i])
			return json_fail(parser, "tensor \"%.60s\" has an impossible shape", tensor->name);
		tensor->elements *= tensor->shape[i];
	}
	if (tensor->begin > tensor->end || tensor->end > parser->file->data_size)
		return json_fail(parser, "tensor \"%.60s\" lies at bytes %llu to %llu of %llu", tensor->name,
						 (unsigned long long) tensor->begin, (unsigned long long) tensor->end,
						 (unsigned long long) parser->file->data_size);
	for (i = 0; i < (int) (sizeof(readable) / sizeof(readable[0])); i++)
	{
		if (strcmp(tensor->dtype, readable[i].name) != 0)
			continue;
		tensor->type = readable[i].type;
		if (bytes != tensor->elements * readable[i].bytes)
			return json_fail(parser, "tensor \"%.60s\" has %llu bytes, but a shape of %llu elements of %d",
							 tensor->name, (unsigned long long) bytes,
							 (unsigned long long) tensor->elements, readable[i].bytes);
	}
	return true;
}

static bool
safetensors_tensor(JsonParser *parser, const char *name)
{
	SafeTensors *file = parser->file;
	SafeTensor *tensor;
	int			seen = 0;

	if (safetensors_find(file, name) != NULL)
		return json_fail(parser, "the header has tensor \"%.60s\" twice", name);
	if (file->tensors == SAFETENSORS_MAX_TENSORS)
		return json_fail(parser, "the header has more than %d tensors, the next is \"%.60s\"", SAFETENSORS_MAX_TENSORS, name);
	tensor = &file->tensor[file->tensors];
	memset(tensor, 0, sizeof(*tensor));
	tensor->name = name;
	if (!json_expect(parser, '{'))
		return false;
	do
	{
		if (!safetensors_field(parser, tensor, &seen))
			return false;
	} while (json_accept(parser, ','));
	if (!json_expect(parser, '}'))
		return false;
	if (seen != 7)
		return json_fail(parser, "tensor \"%.60s\" lacks dtype, shape or data_offsets", name);
	if (!safetensors_check_tensor(parser, tensor))
		return false;
	file->tensors++;
	return true;
}

static bool
safetensors_metadata(JsonParser *parser)
{
	SafeTensors *file = parser->file;

	if (file->texts > 0)
		return json_fail(parser, "the header has __metadata__ twice");
	if (!json_expect(parser, '{'))
		return false;
	if (json_accept(parser, '}'))
		return true;
	do
	{
		SafeText   *text = &file->text[file->texts];

		if (file->texts == SAFETENSORS_MAX_TEXTS)
			return json_fail(parser, "the header has more than %d metadata", SAFETENSORS_MAX_TEXTS);
		text->key = json_string(parser);
		if (text->key == NULL || !json_expect(parser, ':'))
			return false;
		if (safetensors_text(file, text->key) != NULL)
			return json_fail(parser, "the header has metadata \"%.60s\" twice", text->key);
		text->value = json_text(parser);
		if (text->value == NULL)
			return false;
		file->texts++;
	} while (json_accept(parser, ','));
	return json_expect(parser, '}');
}

static bool
safetensors_entries(JsonParser *parser)
{
	if (!json_expect(parser, '{'))
		return false;
	if (!json_accept(parser, '}'))
	{
		do
		{
			const char *name = json_string(parser);

			if (name == NULL || !json_expect(parser, ':'))
				return false;
			if (!(strcmp(name, "__metadata__") == 0 ? safetensors_metadata(parser) : safetensors_tensor(parser, name)))
				return false;
		} while (json_accept(parser, ','));
		if (!json_expect(parser, '}'))
			return false;
	}
	json_skip_space(parser);
	if (parser->at != parser->end)
		return json_fail(parser, "the header goes on after its end, at byte %zu", (size_t) (parser->at - parser->start));
	return true;
}

/*
 * Tensors fill the data without gap or overlap: put in order of their places,
 * each begins where the one before ends.
 */
static bool
safetensors_check_places(JsonParser *parser)
{
	SafeTensors *file = parser->file;
	uint64_t	covered = 0;
	int			placed = 0;
	bool		used[SAFETENSORS_MAX_TENSORS] = {false};

	while (placed < file->tensors)
	{
		int			next = -1;
		int			i;

		/* An empty tensor comes before the one that begins at the same byte. */
		for (i = 0; i < file->tensors; i++)
		{
			if (!used[i] && file->tensor[i].begin == covered &&
				(next < 0 || file->tensor[i].end < file->tensor[next].end))
				next = i;
		}
		if (next < 0)
			return json_fail(parser, "tensors overlap or leave a gap at byte %llu", (unsigned long long) covered);
		used[next] = true;
		covered = file->tensor[next].end;
		placed++;
	}
	if (covered != file->data_size)
		return json_fail(parser, "tensors end at byte %llu of %llu", (unsigned long long) covered,
						 (unsigned long long) file->data_size);
	return true;
}

bool
safetensors_header(const uint8_t *bytes, size_t size, SafeTensors *file, size_t *length)
{
	uint64_t	header = 0;
	int			i;

	if (size < 8)
	{
		snprintf(file->error, sizeof(file->error), "it has %zu bytes, which is no length of a header", size);
		return false;
	}
	for (i = 0; i < 8; i++)
		header |= (uint64_t) bytes[i] << (8 * i);
	if (header > size - 8 || header > SAFETENSORS_MAX_HEADER)
	{
		snprintf(file->error, sizeof(file->error),
				 "its header should have %llu bytes, but %zu follow, and %d are the most allowed",
				 (unsigned long long) header, size - 8, SAFETENSORS_MAX_HEADER);
		return false;
	}
	*length = (size_t) header;
	return true;
}

bool
safetensors_parse(const uint8_t *bytes, size_t size, char *strings, SafeTensors *file)
{
	JsonParser		parser;
	size_t		header;

	memset(file, 0, sizeof(*file));
	if (!safetensors_header(bytes, size, file, &header))
		return false;
	memset(&parser, 0, sizeof(parser));
	parser.start = bytes + 8;
	parser.at = parser.start;
	parser.end = parser.start + header;
	parser.strings = strings;
	parser.file = file;
	file->data = parser.end;
	file->data_size = size - 8 - header;
	return safetensors_entries(&parser) && safetensors_check_places(&parser);
}

int
safetensors_list(const char *text, char *strings)
{
	JsonParser		parser = {0};
	int			count = 0;

	parser.start = (const uint8_t *) text;
	parser.at = parser.start;
	parser.end = parser.start + strlen(text);
	parser.strings = strings;
	if (!json_accept(&parser, '['))
		return -1;
	if (!json_accept(&parser, ']'))
	{
		do
		{
			if (json_text(&parser) == NULL)
				return -1;
			count++;
		} while (json_accept(&parser, ','));
		if (!json_accept(&parser, ']'))
			return -1;
	}
	json_skip_space(&parser);
	return parser.at == parser.end ? count : -1;
}

/* A float of half the width: 5 bits of exponent, 10 of fraction. */
static float
safetensors_half(uint32_t half)
{
	uint32_t	exponent = half >> 10 & 31;
	uint32_t	fraction = half & 1023;
	uint32_t	word = (half & 0x8000) << 16 | fraction << 13;
	float		value;

	if (exponent == 0)
	{
		value = (float) fraction * 0x1p-24f;
		return half & 0x8000 ? -value : value;
	}
	word |= exponent == 31 ? 0x7F800000 : (exponent + 112) << 23;
	memcpy(&value, &word, sizeof(value));
	return value;
}

double
safetensors_number(const SafeTensors *file, const SafeTensor *tensor, uint64_t element)
{
	int			bytes = tensor->type == SAFE_F64 ? 8 : tensor->type == SAFE_F32 ? 4 : 2;
	const uint8_t *at = file->data + tensor->begin + element * bytes;
	uint64_t	bits = 0;
	uint32_t	word;
	float		narrow;
	double		wide;
	int			i;

	for (i = 0; i < bytes; i++)
		bits |= (uint64_t) at[i] << (8 * i);
	if (tensor->type == SAFE_F64)
	{
		memcpy(&wide, &bits, sizeof(wide));
		return wide;
	}
	if (tensor->type == SAFE_F16)
		return safetensors_half((uint32_t) bits);
	word = (uint32_t) bits << (tensor->type == SAFE_BF16 ? 16 : 0);
	memcpy(&narrow, &word, sizeof(narrow));
	return narrow;
}

const SafeTensor *
safetensors_find(const SafeTensors *file, const char *name)
{
	int			i;

	for (i = 0; i < file->tensors; i++)
	{
		if (strcmp(file->tensor[i].name, name) == 0)
			return &file->tensor[i];
	}
	return NULL;
}

const char *
safetensors_text(const SafeTensors *file, const char *key)
{
	int			i;

	for (i = 0; i < file->texts; i++)
	{
		if (strcmp(file->text[i].key, key) == 0)
			return file->text[i].value;
	}
	return NULL;
}
