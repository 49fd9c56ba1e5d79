/*
 * core/json.c: strings, numbers and lists of JSON, as core/safetensors.c asks
 * for them.
 *
 * Nothing recurses, nothing is allocated.  A decoded string is never longer
 * than its source, which has two quotes more, and a number has a colon before
 * it, so the strings of a header fit, with an end each, into its length.
 */
#include "core/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Note the first thing that is wrong; always false. */
bool
json_fail(JsonParser *parser, const char *format,...)
{
	va_list		arguments;

	if (!parser->failed && parser->file != NULL)
	{
		va_start(arguments, format);
		vsnprintf(parser->file->error, sizeof(parser->file->error), format, arguments);
		va_end(arguments);
	}
	parser->failed = true;
	return false;
}

void
json_skip_space(JsonParser *parser)
{
	while (parser->at < parser->end && (*parser->at == ' ' || *parser->at == '\t' ||
										*parser->at == '\n' || *parser->at == '\r'))
		parser->at++;
}

/* Is this the next character, after blanks?  If so, go past it. */
bool
json_accept(JsonParser *parser, char character)
{
	json_skip_space(parser);
	if (parser->failed || parser->at >= parser->end || *parser->at != (uint8_t) character)
		return false;
	parser->at++;
	return true;
}

bool
json_expect(JsonParser *parser, char character)
{
	return json_accept(parser, character) ||
		json_fail(parser, "the header has no '%c' at byte %zu", character, (size_t) (parser->at - parser->start));
}

/* Four hexadecimal digits. */
static bool
json_hexadecimal(JsonParser *parser, uint32_t *value)
{
	int			i;

	*value = 0;
	for (i = 0; i < 4; i++)
	{
		uint8_t		c = parser->at < parser->end ? *parser->at++ : 0;
		uint32_t	digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c >= 'a' && c <= 'f')
			digit = c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			digit = c - 'A' + 10;
		else
			return json_fail(parser, "the header has a bad \\u escape");
		*value = *value * 16 + digit;
	}
	return true;
}

static void
json_put_utf8(JsonParser *parser, uint32_t c)
{
	if (c < 0x80)
		*parser->strings++ = (char) c;
	else if (c < 0x800)
	{
		*parser->strings++ = (char) (0xC0 | c >> 6);
		*parser->strings++ = (char) (0x80 | (c & 0x3F));
	}
	else if (c < 0x10000)
	{
		*parser->strings++ = (char) (0xE0 | c >> 12);
		*parser->strings++ = (char) (0x80 | (c >> 6 & 0x3F));
		*parser->strings++ = (char) (0x80 | (c & 0x3F));
	}
	else
	{
		*parser->strings++ = (char) (0xF0 | c >> 18);
		*parser->strings++ = (char) (0x80 | (c >> 12 & 0x3F));
		*parser->strings++ = (char) (0x80 | (c >> 6 & 0x3F));
		*parser->strings++ = (char) (0x80 | (c & 0x3F));
	}
}

/* What follows a backslash. */
static bool
json_escape(JsonParser *parser)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	uint8_t		c = parser->at < parser->end ? *parser->at++ : 0;
	const char *found = c != 0 ? strchr(from, c) : NULL;
	uint32_t	high;
	uint32_t	low;

	if (found != NULL)
	{
		*parser->strings++ = to[found - from];
		return true;
	}
	if (c != 'u')
		return json_fail(parser, "the header has a bad escape");
	if (!json_hexadecimal(parser, &high))
		return false;
	if (high == 0 || (high >= 0xDC00 && high <= 0xDFFF))
		return json_fail(parser, "the header has a bad \\u escape");
	if (high >= 0xD800 && high <= 0xDBFF)
	{
		if (parser->end - parser->at < 2 || parser->at[0] != '\\' || parser->at[1] != 'u')
			return json_fail(parser, "the header has half a surrogate pair");
		parser->at += 2;
		if (!json_hexadecimal(parser, &low))
			return false;
		if (low < 0xDC00 || low > 0xDFFF)
			return json_fail(parser, "the header has half a surrogate pair");
		high = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
	}
	json_put_utf8(parser, high);
	return true;
}

/* A string; NULL if there is none. */
const char *
json_string(JsonParser *parser)
{
	const char *result = parser->strings;

	if (!json_expect(parser, '"'))
		return NULL;
	while (parser->at < parser->end && *parser->at != '"')
	{
		uint8_t		c = *parser->at++;

		if (c < 0x20)
		{
			json_fail(parser, "the header has a control character in a string");
			return NULL;
		}
		if (c != '\\')
			*parser->strings++ = (char) c;
		else if (!json_escape(parser))
			return NULL;
	}
	if (!json_expect(parser, '"'))
		return NULL;
	*parser->strings++ = '\0';
	return result;
}

/* A natural number that fits. */
static bool
json_number(JsonParser *parser, uint64_t *value)
{
	const uint8_t *first;

	json_skip_space(parser);
	first = parser->at;
	*value = 0;
	while (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9')
	{
		uint64_t	digit = *parser->at++ - '0';

		if (*value > (UINT64_MAX - digit) / 10)
			return json_fail(parser, "the header has a number that is too large");
		*value = *value * 10 + digit;
	}
	if (parser->at == first || (*first == '0' && parser->at - first > 1))
		return json_fail(parser, "the header has no natural number at byte %zu", (size_t) (first - parser->start));
	return true;
}

static bool
json_skip_digits(JsonParser *parser)
{
	const uint8_t *first = parser->at;

	while (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9')
		parser->at++;
	return parser->at > first;
}

static bool
json_skip_one_of(JsonParser *parser, char a, char b)
{
	if (parser->at >= parser->end || (*parser->at != (uint8_t) a && *parser->at != (uint8_t) b))
		return false;
	parser->at++;
	return true;
}

/* A number of any kind that JSON has, as a string of what is written; NULL if there is none. */
static const char *
json_number_text(JsonParser *parser)
{
	const uint8_t *first = parser->at;
	const char *result = parser->strings;
	bool		good = true;

	json_skip_one_of(parser, '-', '-');
	if (!json_skip_one_of(parser, '0', '0'))
		good = json_skip_digits(parser);
	if (good && json_skip_one_of(parser, '.', '.'))
		good = json_skip_digits(parser);
	if (good && json_skip_one_of(parser, 'e', 'E'))
	{
		json_skip_one_of(parser, '-', '+');
		good = json_skip_digits(parser);
	}
	if (!good)
	{
		json_fail(parser, "the header has a bad number at byte %zu", (size_t) (first - parser->start));
		return NULL;
	}
	memcpy(parser->strings, first, parser->at - first);
	parser->strings += parser->at - first;
	*parser->strings++ = '\0';
	return result;
}

/* What metadata may be: a string, or a number that stands for one. */
const char *
json_text(JsonParser *parser)
{
	json_skip_space(parser);
	if (parser->at < parser->end && (*parser->at == '-' || (*parser->at >= '0' && *parser->at <= '9')))
		return json_number_text(parser);
	return json_string(parser);
}

/* Up to `capacity` numbers in brackets. */
bool
json_numbers(JsonParser *parser, uint64_t *values, int capacity, int *count)
{
	*count = 0;
	if (!json_expect(parser, '['))
		return false;
	if (json_accept(parser, ']'))
		return true;
	do
	{
		if (*count == capacity)
			return json_fail(parser, "the header has more than %d numbers in a list", capacity);
		if (!json_number(parser, &values[(*count)++]))
			return false;
	} while (json_accept(parser, ','));
	return json_expect(parser, ']');
}
