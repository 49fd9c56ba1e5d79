/*
 * core/safetensors.h: read the safetensors format, without trusting a byte of it.
 * No PostgreSQL headers.
 *
 * A file is the header's length (64 bits, little-endian), the header (a JSON
 * object: for each tensor its dtype, shape and place, and under __metadata__
 * strings by name), and the tensors' bytes.  Numbers among the metadata, which
 * the format does not have, are taken for strings: some write them.
 */
#ifndef SAFETENSORS_H
#define SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAFETENSORS_MAX_TENSORS 64
#define SAFETENSORS_MAX_TEXTS 64
#define SAFETENSORS_MAX_DIMENSIONS 8
#define SAFETENSORS_MAX_HEADER (16 * 1024 * 1024)

/* The types of numbers that can be read. */
typedef enum SafeType
{
	SAFE_OTHER,
	SAFE_F16,
	SAFE_BF16,
	SAFE_F32,
	SAFE_F64
} SafeType;

typedef struct SafeTensor
{
	const char *name;
	const char *dtype;
	SafeType	type;
	int			dimensions;
	uint64_t	shape[SAFETENSORS_MAX_DIMENSIONS];
	uint64_t	elements;		/* product of the shape */
	uint64_t	begin;			/* in data */
	uint64_t	end;
} SafeTensor;

typedef struct SafeText
{
	const char *key;
	const char *value;
} SafeText;

typedef struct SafeTensors
{
	int			tensors;
	SafeTensor	tensor[SAFETENSORS_MAX_TENSORS];
	int			texts;
	SafeText	text[SAFETENSORS_MAX_TEXTS];
	const uint8_t *data;
	uint64_t	data_size;
	char		error[200];		/* what is wrong, when parsing fails */
} SafeTensors;

/* Length of the header; false (with the error) if there cannot be one. */
extern bool safetensors_header(const uint8_t *bytes, size_t size, SafeTensors *file, size_t *length);

/*
 * Parse a file.  All strings, ended by zero bytes and without any inside, are
 * put into `strings`, which has space for the header's length.  When it says
 * true, every tensor lies within data, none overlap, nothing is left over, and
 * tensors that can be read have the length of their shape.  Bytes of strings are not
 * checked to be UTF-8.
 */
extern bool safetensors_parse(const uint8_t *bytes, size_t size, char *strings, SafeTensors *file);

/* An element of a tensor that can be read: the very number, since a double holds them all. */
extern double safetensors_number(const SafeTensors *file, const SafeTensor *tensor, uint64_t element);

/*
 * The elements of a JSON array of strings and numbers, as strings, one after
 * the other in `strings`, which has room for as many bytes as the text has.
 * Returns how many; -1 if it is anything else.
 */
extern int	safetensors_list(const char *text, char *strings);

extern const SafeTensor *safetensors_find(const SafeTensors *file, const char *name);
extern const char *safetensors_text(const SafeTensors *file, const char *key);

#endif							/* SAFETENSORS_H */
