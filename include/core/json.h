/*
 * core/json.h: reading the little JSON that the header of a safetensors file
 * has.  Numeric core, private to core/safetensors.c.
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "core/safetensors.h"

/* Where in the header we are.  Once it has failed, it stays failed. */
typedef struct JsonParser
{
	const uint8_t *start;
	const uint8_t *at;
	const uint8_t *end;
	char	   *strings;		/* where the next one goes */
	SafeTensors *file;			/* for what is found, and what is wrong; NULL: for neither */
	bool		failed;
} JsonParser;

extern bool	json_fail(JsonParser *parser, const char *format,...) __attribute__((format(printf, 2, 3)));
extern void	json_skip_space(JsonParser *parser);
extern bool	json_accept(JsonParser *parser, char character);
extern bool	json_expect(JsonParser *parser, char character);
extern const char *json_string(JsonParser *parser);
extern const char *json_text(JsonParser *parser);
extern bool	json_numbers(JsonParser *parser, uint64_t *values, int capacity, int *count);

#endif							/* CORE_JSON_H */
