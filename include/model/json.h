/*
 * model/json.h: JSON objects, written key by key and read field by field.
 */
#ifndef MODEL_JSON_H
#define MODEL_JSON_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/*
 * An object is written between '{' and '}', which are the caller's to append;
 * commas come by themselves.
 */
extern void json_put_key(StringInfo json, const char *key);
extern void json_put_string(StringInfo json, const char *key, const char *value);
extern void json_put_number(StringInfo json, const char *key, double value);
extern void json_put_integer(StringInfo json, const char *key, int64 value);
extern void json_put_json(StringInfo json, const char *key, const char *value);
extern void json_put_strings(StringInfo json, const char *key, char *const *values, int count);
extern void json_append_strings(StringInfo json, char *const *values, int count);

/* A field of an object, as it is; NULL if there is none. */
extern JsonbValue *json_field(JsonbContainer *object, const char *key);

/* What a field or an element holds, if it is of that kind: else NULL or false, and nothing is changed. */
extern JsonbContainer *json_as_object(const JsonbValue *value);
extern JsonbContainer *json_as_array(const JsonbValue *value);
extern bool json_as_number(const JsonbValue *value, double minimum, double maximum, double *number);
extern bool json_as_integer(const JsonbValue *value, double minimum, double maximum, int *number);
extern char *json_as_string(const JsonbValue *value);

#endif							/* MODEL_JSON_H */
