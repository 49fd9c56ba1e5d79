/*
 * test_safetensors.c: the safetensors parser on good files, on every kind of
 * bad one, on every truncation and on random damage of a good one; and the
 * numbers it reads, all 65,536 of each narrow type.
 *
 * usage: test_safetensors [SEED]
 *
 * Built with -DFUZZ it is a libFuzzer target instead:
 *   clang -DFUZZ -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude \
 *         test/unit/test_safetensors.c src/core/safetensors.c -o fuzz_safetensors
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/safetensors.h"

/*
 * Parse a copy that ends where its allocation ends, with strings likewise, and
 * touch everything that the result points to: so that sanitizers see any step
 * beyond.  Returns whether it parsed; aborts when a promise is broken.
 */
static int
parse(const uint8_t *bytes, size_t size, SafeTensors *file)
{
	uint8_t    *copy = malloc(size + (size == 0));
	char	   *strings = NULL;
	size_t		header;
	int			good = 0;
	uint64_t	covered = 0;
	volatile uint8_t sink = 0;
	int			i;

	memcpy(copy, bytes, size);
	if (safetensors_header(copy, size, file, &header))
	{
		strings = malloc(header + (header == 0));
		good = safetensors_parse(copy, size, strings, file);
	}
	if (good)
	{
		for (i = 0; i < file->tensors; i++)
		{
			const SafeTensor *tensor = &file->tensor[i];
			uint64_t	at;

			if (tensor->begin > tensor->end || tensor->end > file->data_size ||
				safetensors_find(file, tensor->name) != tensor)
				abort();
			for (at = tensor->begin; at < tensor->end; at++)
				sink += file->data[at];
			if (tensor->type != SAFE_OTHER)
			{
				if (tensor->elements > tensor->end - tensor->begin)
					abort();
				for (at = 0; at < tensor->elements; at++)
					sink += isfinite(safetensors_number(file, tensor, at));
			}
			covered += tensor->end - tensor->begin;
			sink += (uint8_t) strlen(tensor->dtype);
			(void) sink;		/* gcc 16 does not count += as a use */
		}
		if (covered != file->data_size)
			abort();
		for (i = 0; i < file->texts; i++)
			if (safetensors_text(file, file->text[i].key) == NULL ||
				strlen(file->text[i].key) + strlen(file->text[i].value) > header)
				abort();
	}
	else if (memchr(file->error, '\0', sizeof(file->error)) == NULL || file->error[0] == '\0')
		abort();
	free(copy);
	free(strings);
	return good;
}

#ifdef FUZZ
extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static SafeTensors file;

	parse(data, size, &file);
	return 0;
}
#else

static int	passed = 0;
static int	failed = 0;
static SafeTensors file;

/* A file of this header and that many bytes of data; returns its size. */
static size_t
make(uint8_t *to, const char *header, size_t data)
{
	size_t		length = strlen(header);
	int			i;

	for (i = 0; i < 8; i++)
		to[i] = (uint8_t) ((uint64_t) length >> (8 * i));
	memcpy(to + 8, header, length);
	memset(to + 8 + length, 7, data);
	return 8 + length + data;
}

static void
check(int good, const char *what)
{
	if (good)
		passed++;
	else
	{
		failed++;
		printf("FAILED: %s (%s)\n", what, file.error);
	}
}

static void
check_good(const char *header, size_t data)
{
	static uint8_t bytes[4096];

	check(parse(bytes, make(bytes, header, data), &file), header);
}

/* It is refused, for the reason expected. */
static void
check_bad(const char *header, size_t data, const char *reason)
{
	static uint8_t bytes[65536];
	int			good = parse(bytes, make(bytes, header, data), &file);

	check(!good && strstr(file.error, reason) != NULL, header);
}

#define TENSOR(name, offsets) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" offsets "}"

static const char model[] =
"{\"__metadata__\":{\"format\":\"xmhash 1\",\"bits\":-12.5e+3,\"classes\":\"[\\\"a\\\",\\\"\\u00e4\\ud83d\\ude00\\\"]\"},"
"\"image.0.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
"\"image.0.bias\":{\"shape\":[2],\"data_offsets\":[24,32],\"dtype\":\"F32\"},"
"\"empty\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[32,32]},"
"\"other\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[32,33]},"
"\"half\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[33,39]},"
"\"brain\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[39,43]},"
"\"double\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[43,51]}}   ";
#define MODEL_DATA 51

static void
test_good(void)
{
	static uint8_t bytes[4096];
	size_t		size = make(bytes, model, MODEL_DATA);

	check(parse(bytes, size, &file), "a model's file");
	check(file.tensors == 7 && file.texts == 3, "its tensors and metadata are counted");
	check_good("{\"__metadata__\":{\"a\":0,\"b\":-0,\"c\":10.25,\"d\":1e5,\"e\":2E-07 ,\"f\":\"\"}}", 0);
	check_good("{\"a\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]}}", 6);
	check_good("{}", 0);
	check_good(" { } ", 0);
	check_good("{\"__metadata__\":{}}", 0);
	check_good("{" TENSOR("b", "[8,16]") "," TENSOR("a", "[0,8]") "}", 16);
}

/* Strings live only as long as their buffer, so this test keeps its own. */
static void
test_strings(void)
{
	static uint8_t bytes[4096];
	static char strings[4096];
	size_t		size = make(bytes, model, MODEL_DATA);

	check(safetensors_parse(bytes, size, strings, &file), "a model's file, strings kept");
	check(strcmp(safetensors_text(&file, "classes"), "[\"a\",\"\xc3\xa4\xf0\x9f\x98\x80\"]") == 0,
		  "escapes and surrogate pairs");
	check(strcmp(safetensors_text(&file, "bits"), "-12.5e+3") == 0, "a number stands for the string of it");
	check(safetensors_text(&file, "none") == NULL && safetensors_find(&file, "none") == NULL, "absent names");
	check(safetensors_find(&file, "image.0.weight")->shape[1] == 3, "shapes");
	check(safetensors_find(&file, "image.0.weight")->elements == 6, "elements");
}

static void
test_bad(void)
{
	check_bad("", 0, "no '{'");
	check_bad("[]", 0, "no '{'");
	check_bad("{", 0, "no '\"'");
	check_bad("{}x", 0, "goes on");
	check_bad("{}", 4, "tensors end at byte 0 of 4");
	check_bad("{\"a\":1}", 0, "no '{'");
	check_bad("{\"a\":{}}", 0, "no '\"'");
	check_bad("{" TENSOR("a", "[0,8]") ",}", 8, "no '\"'");
	check_bad("{" TENSOR("a", "[0,8]"), 8, "no '}'");
	check_bad("{" TENSOR("a", "[0,8]") "," TENSOR("a", "[8,16]") "}", 16, "twice");
	check_bad("{" TENSOR("a", "[0,8]") "," TENSOR("b", "[4,12]") "}", 12, "overlap");
	check_bad("{" TENSOR("a", "[0,8]") "," TENSOR("b", "[0,8]") "}", 8, "overlap");
	check_bad("{" TENSOR("a", "[0,8]") "," TENSOR("b", "[12,20]") "}", 20, "gap");
	check_bad("{" TENSOR("a", "[0,8]") "}", 4, "lies at bytes 0 to 8 of 4");
	check_bad("{" TENSOR("a", "[8,0]") "}", 8, "lies at bytes 8 to 0");
	check_bad("{" TENSOR("a", "[0,12]") "}", 12, "12 bytes, but a shape of 2");
	check_bad("{" TENSOR("a", "[0]") "}", 8, "1 data offsets");
	check_bad("{" TENSOR("a", "[0,4,8]") "}", 8, "more than 2 numbers");
	check_bad("{" TENSOR("a", "[0,-8]") "}", 8, "no natural number");
	check_bad("{" TENSOR("a", "[0,8.0]") "}", 8, "no ']'");
	check_bad("{" TENSOR("a", "[0,08]") "}", 8, "no natural number");
	check_bad("{" TENSOR("a", "[0,18446744073709551616]") "}", 8, "too large");
	check_bad("{" TENSOR("a", "[0,18446744073709551615]") "}", 8, "lies at bytes");
	check_bad("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "impossible shape");
	check_bad("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "more than 8");
	check_bad("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "twice");
	check_bad("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "lacks");
	check_bad("{\"a\":{\"dtype\":\"F32\",\"size\":[1],\"data_offsets\":[0,4]}}", 4, "unknown field");
	check_bad("{\"a\":{\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "no '\"'");
	check_bad("{\"a\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,7]}}", 7, "7 bytes, but a shape of 3 elements of 2");
	check_bad("{\"a\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[0,12]}}", 12, "12 bytes, but a shape of 3");
	check_bad("{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "4 bytes, but a shape of 1");
	check_bad("{\"a\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,0]}}", 0, "0 bytes, but a shape of 1");
	check_bad("{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", 0, "impossible shape");
	check_bad("{\"a\":{\"dtype\":\"F16\",\"shape\":[1152921504606846975],\"data_offsets\":[0,2]}}", 2, "2 bytes, but a shape of 1152921504606846975");
	check_bad("{\"a\":{\"dtype\":\"F64\",\"shape\":[0,18446744073709551615],\"data_offsets\":[0,8]}}", 8, "8 bytes, but a shape of 0");
	check_bad("{\"__metadata__\":{\"a\":true}}", 0, "no '\"'");
	check_bad("{\"__metadata__\":{\"a\":null}}", 0, "no '\"'");
	check_bad("{\"__metadata__\":{\"a\":[1]}}", 0, "no '\"'");
	check_bad("{\"__metadata__\":{\"a\":+1}}", 0, "no '\"'");
	check_bad("{\"__metadata__\":{\"a\":.5}}", 0, "no '\"'");
	check_bad("{\"__metadata__\":{\"a\":-}}", 0, "bad number");
	check_bad("{\"__metadata__\":{\"a\":1.}}", 0, "bad number");
	check_bad("{\"__metadata__\":{\"a\":1e}}", 0, "bad number");
	check_bad("{\"__metadata__\":{\"a\":1e+}}", 0, "bad number");
	check_bad("{\"__metadata__\":{\"a\":01}}", 0, "no '}'");
	check_bad("{\"__metadata__\":{\"a\":0x10}}", 0, "no '}'");
	check_bad("{\"__metadata__\":{\"a\":1 2}}", 0, "no '}'");
	check_bad("{\"__metadata__\":{\"a\":1", 0, "no '}'");
	check_bad("{\"__metadata__\":{\"a\":-", 0, "bad number");
	check_bad("{\"__metadata__\":{\"a\":1,\"a\":1}}", 0, "twice");
	check_bad("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "twice");
	check_bad("{\"__metadata__\":{\"a\":\"1\"},\"__metadata__\":{\"b\":\"2\"}}", 0, "twice");
	check_bad("{\"__metadata__\":{\"a\":\"\\u0000\"}}", 0, "bad \\u escape");
	check_bad("{\"__metadata__\":{\"a\":\"\\ud800\"}}", 0, "surrogate");
	check_bad("{\"__metadata__\":{\"a\":\"\\ud800\\u0041\"}}", 0, "surrogate");
	check_bad("{\"__metadata__\":{\"a\":\"\\udc00\"}}", 0, "bad \\u escape");
	check_bad("{\"__metadata__\":{\"a\":\"\\u12g4\"}}", 0, "bad \\u escape");
	check_bad("{\"__metadata__\":{\"a\":\"\\x\"}}", 0, "bad escape");
	check_bad("{\"__metadata__\":{\"a\":\"\n\"}}", 0, "control character");
	check_bad("{\"__metadata__\":{\"a\":\"1", 0, "no '\"'");
}

/* More tensors, and more metadata, than there is room for. */
static void
test_many(void)
{
	static char header[65536];
	char	   *at = header;
	int			i;

	at += sprintf(at, "{");
	for (i = 0; i <= SAFETENSORS_MAX_TENSORS; i++)
		at += sprintf(at, "%s\"t%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", i > 0 ? "," : "", i);
	sprintf(at, "}");
	check_bad(header, 0, "more than 64 tensors");
	at = header + sprintf(header, "{\"__metadata__\":{");
	for (i = 0; i <= SAFETENSORS_MAX_TEXTS; i++)
		at += sprintf(at, "%s\"t%d\":\"\"", i > 0 ? "," : "", i);
	sprintf(at, "}}");
	check_bad(header, 0, "more than 64 metadata");
}

/* Lengths of a header that are no such thing. */
static void
test_lengths(void)
{
	static uint8_t bytes[4096];
	size_t		size = make(bytes, "{}", 0);
	size_t		i;

	for (i = 0; i < 8; i++)
		check(!parse(bytes, i, &file), "fewer bytes than a length");
	for (i = 1; i < 8; i++)
	{
		bytes[i] = 0xff;
		check(!parse(bytes, size, &file), "a header beyond the end");
		bytes[i] = 0;
	}
	bytes[0] = 3;
	check(!parse(bytes, size, &file), "a header one byte beyond the end");
	size = make(bytes, model, MODEL_DATA);
	for (i = 0; i < size; i++)
		if (parse(bytes, i, &file))
			break;
	check(i == size, "every truncation of a good file is refused");
}

/* The value of a float with that many bits of exponent and fraction, by its definition. */
static double
defined_value(unsigned bits, int exponent_bits, int fraction_bits)
{
	int			most = (1 << exponent_bits) - 1;
	int			bias = most / 2;
	int			exponent = bits >> fraction_bits & most;
	int			fraction = bits & ((1 << fraction_bits) - 1);
	double		sign = bits >> (exponent_bits + fraction_bits) & 1 ? -1 : 1;

	if (exponent == most)
		return fraction == 0 ? sign * INFINITY : NAN;
	if (exponent == 0)
		return sign * ldexp(fraction, 1 - bias - fraction_bits);
	return sign * ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

static void
test_numbers(void)
{
	static uint8_t data[2 * 65536];
	SafeTensors numbers = {.data = data};
	SafeTensor	tensor = {.type = SAFE_F16};
	double		wide[] = {0, -1.5, 1e300, 4.9e-324, INFINITY};
	float		narrow[] = {0, -1.5f, 3e38f, 1.4e-45f, -INFINITY};
	uint64_t	word;
	uint32_t	half_word;
	int			wrong = 0;
	int			i;
	int			j;

	for (i = 0; i < 65536; i++)
	{
		data[2 * i] = (uint8_t) i;
		data[2 * i + 1] = (uint8_t) (i >> 8);
	}
	for (i = 0; i < 2 * 65536; i++)
	{
		bool		brain = i >= 65536;
		double		expected = defined_value(i % 65536, brain ? 8 : 5, brain ? 7 : 10);
		double		found;

		tensor.type = brain ? SAFE_BF16 : SAFE_F16;
		found = safetensors_number(&numbers, &tensor, i % 65536);
		wrong += isnan(expected) ? !isnan(found) : found != expected || signbit(found) != signbit(expected);
	}
	check(wrong == 0, "all values of F16 and BF16");
	for (i = 0; i < 5; i++)
	{
		memcpy(&word, &wide[i], 8);
		memcpy(&half_word, &narrow[i], 4);
		for (j = 0; j < 8; j++)
			data[8 * i + j] = (uint8_t) (word >> (8 * j));
		for (j = 0; j < 4; j++)
			data[100 + 4 * i + j] = (uint8_t) (half_word >> (8 * j));
		tensor.begin = 0;
		tensor.type = SAFE_F64;
		wrong += safetensors_number(&numbers, &tensor, i) != wide[i];
		tensor.begin = 100;
		tensor.type = SAFE_F32;
		wrong += safetensors_number(&numbers, &tensor, i) != narrow[i];
	}
	check(wrong == 0, "F64 and F32");
}

/* Put another number in the place of one in the header, of those that arithmetic trips over. */
static size_t
damage_number(uint8_t *bytes, size_t size)
{
	static const char *const numbers[] = {"0", "1", "2", "7", "33", "-1", "18446744073709551615", "18446744073709551616",
		"9223372036854775807", "9223372036854775808", "4294967295", "4294967296", "1152921504606846975",
	"2305843009213693952", "99999999999999999999999999", "1e9", "3.5", ""};
	const char *number = numbers[rand() % (int) (sizeof(numbers) / sizeof(numbers[0]))];
	size_t		header = bytes[0] + 256 * bytes[1];
	size_t		from = 8 + rand() % header;
	size_t		to;
	size_t		length = strlen(number);

	while (from < 8 + header && (bytes[from] < '0' || bytes[from] > '9'))
		from++;
	for (to = from; to < 8 + header && bytes[to] >= '0' && bytes[to] <= '9';)
		to++;
	memmove(bytes + from + length, bytes + to, size - to);
	memcpy(bytes + from, number, length);
	header = header + length - (to - from);
	bytes[0] = (uint8_t) header;
	bytes[1] = (uint8_t) (header >> 8);
	return size + length - (to - from);
}

/* Random damage: nothing must break, whatever the verdict. */
static void
test_damage(unsigned seed, int rounds)
{
	static uint8_t good[4096];
	static uint8_t bytes[4096];
	static const char marks[] = "{}[]\",:\\u0123456789ed.-+";
	size_t		good_size = make(good, model, MODEL_DATA);
	int			accepted = 0;
	int			i;

	srand(seed);
	for (i = 0; i < rounds; i++)
	{
		int			changes = 1 + rand() % 4;
		size_t		size = good_size;

		memcpy(bytes, good, size);
		if (i % 3 == 0)
			for (; changes > 0; changes--)
				size = damage_number(bytes, size);
		while (changes-- > 0)
			bytes[rand() % (8 + sizeof(model))] = rand() % 2 ? marks[rand() % (sizeof(marks) - 1)] : rand();
		accepted += parse(bytes, size - (rand() % 8 == 0 ? rand() % 40 : 0), &file);
	}
	printf("random damage: seed %u, %d files, %d still parsed\n", seed, rounds, accepted);
	check(accepted < rounds, "damage is noticed");
}

/* The strings of a list, joined by bars, in room that ends where it must; "refused" otherwise. */
static void
check_list(const char *text, const char *expected)
{
	char	   *copy = malloc(strlen(text) + 1);
	char	   *strings = malloc(strlen(text) + (text[0] == '\0'));
	char		joined[256] = "";
	const char *at = strings;
	int			count;

	strcpy(copy, text);
	count = safetensors_list(copy, strings);
	for (; count > 0; count--)
	{
		strcat(strcat(joined, at), "|");
		at += strlen(at) + 1;
	}
	check(strcmp(count < 0 ? "refused" : joined, expected) == 0, text);
	free(copy);
	free(strings);
}

static void
test_list(void)
{
	static const char *const bad[] = {"", " ", "[", "]", "[,]", "[1", "[1,", "[1,]", "[1 2]", "[\"a", "[\"a\"", "[\"\\", "[\"\\u00", "[a]", "[true]",
		"[[]]", "[{}]", "{}", "1", "\"a\"", "[1]]", "[] x", "[01]", "[1.]", "[-]", "[1e]", "[\"\\u0000\"]", "[\"\\ud800\"]", "[\"\t\"]"};
	int			i;

	check_list("[]", "");
	check_list(" [ ] ", "");
	check_list("[\"\"]", "|");
	check_list("[1]", "1|");
	check_list("[\"a\", \"b c\" ,-1.5e3]\n", "a|b c|-1.5e3|");
	check_list("[\"\\u017c\\\"\",\"\\ud83d\\ude00\"]", "\u017c\"|\U0001f600|");
	for (i = 0; i < (int) (sizeof(bad) / sizeof(bad[0])); i++)
		check_list(bad[i], "refused");
}

int
main(int argc, char **argv)
{
	test_good();
	test_strings();
	test_bad();
	test_many();
	test_lengths();
	test_numbers();
	test_list();
	test_damage(argc > 1 ? (unsigned) strtoul(argv[1], NULL, 10) : 1, 200000);
	printf("safetensors: %d passed, %d failed\n", passed, failed);
	return failed != 0;
}
#endif
