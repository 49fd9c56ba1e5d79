/*
 * test_safetensors.c: the safetensors parser on good files, on every kind of
 * bad one, on every truncation and on random damage of a good one.
 *
 * usage: test_safetensors [SEED]
 *
 * Built with -DFUZZ it is a libFuzzer target instead:
 *   clang -DFUZZ -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude \
 *         test/unit/test_safetensors.c src/model_safetensors.c -o fuzz_safetensors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "safetensors.h"

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
			covered += tensor->end - tensor->begin;
			sink += (uint8_t) strlen(tensor->dtype);
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
"{\"__metadata__\":{\"format\":\"xmhash 1\",\"classes\":\"[\\\"a\\\",\\\"\\u00e4\\ud83d\\ude00\\\"]\"},"
"\"image.0.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
"\"image.0.bias\":{\"shape\":[2],\"data_offsets\":[24,32],\"dtype\":\"F32\"},"
"\"empty\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[32,32]},"
"\"other\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[32,33]}}   ";

static void
test_good(void)
{
	static uint8_t bytes[4096];
	size_t		size = make(bytes, model, 33);

	check(parse(bytes, size, &file), "a model's file");
	check(file.tensors == 4 && file.texts == 2, "its tensors and metadata are counted");
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
	size_t		size = make(bytes, model, 33);

	check(safetensors_parse(bytes, size, strings, &file), "a model's file, strings kept");
	check(strcmp(safetensors_text(&file, "classes"), "[\"a\",\"\xc3\xa4\xf0\x9f\x98\x80\"]") == 0,
		  "escapes and surrogate pairs");
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
	check_bad("{\"__metadata__\":{\"a\":1}}", 0, "no '\"'");
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
	for (i = 0; i <= SAFETENSORS_MOST_TENSORS; i++)
		at += sprintf(at, "%s\"t%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", i > 0 ? "," : "", i);
	sprintf(at, "}");
	check_bad(header, 0, "more than 64 tensors");
	at = header + sprintf(header, "{\"__metadata__\":{");
	for (i = 0; i <= SAFETENSORS_MOST_TEXTS; i++)
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
	size = make(bytes, model, 33);
	for (i = 0; i < size; i++)
		if (parse(bytes, i, &file))
			break;
	check(i == size, "every truncation of a good file is refused");
}

/* Random damage: nothing must break, whatever the verdict. */
static void
test_damage(unsigned seed, int rounds)
{
	static uint8_t good[4096];
	static uint8_t bytes[4096];
	static const char marks[] = "{}[]\",:\\u0123456789ed";
	size_t		size = make(good, model, 33);
	int			accepted = 0;
	int			i;

	srand(seed);
	for (i = 0; i < rounds; i++)
	{
		int			changes = 1 + rand() % 4;

		memcpy(bytes, good, size);
		while (changes-- > 0)
			bytes[rand() % (8 + sizeof(model))] = rand() % 2 ? marks[rand() % (sizeof(marks) - 1)] : rand();
		accepted += parse(bytes, size - (rand() % 8 == 0 ? rand() % 40 : 0), &file);
	}
	printf("random damage: seed %u, %d files, %d still parsed\n", seed, rounds, accepted);
	check(accepted < rounds, "damage is noticed");
}

int
main(int argc, char **argv)
{
	test_good();
	test_strings();
	test_bad();
	test_many();
	test_lengths();
	test_damage(argc > 1 ? (unsigned) strtoul(argv[1], NULL, 10) : 1, 200000);
	printf("safetensors: %d passed, %d failed\n", passed, failed);
	return failed != 0;
}
#endif
