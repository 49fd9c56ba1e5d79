/*
 * model/json.c: JSON objects, written key by key and read field by field.
 *
 * What is read is somebody's own table, so nothing is taken for what it should
 * be before it was looked at.
 */
#include "model/json.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"

void
json_put_key(StringInfo json, const char *key)
{
	if (json->data[json->len - 1] != '{')
		appendStringInfoChar(json, ',');
	escape_json(json, key);
	appendStringInfoChar(json, ':');
}

void
json_put_string(StringInfo json, const char *key, const char *value)
{
	json_put_key(json, key);
	escape_json(json, value);
}

/* A number that is not finite is left out. */
void
json_put_number(StringInfo json, const char *key, double value)
{
	char		digits[DOUBLE_SHORTEST_DECIMAL_LEN];

	/* In full, whatever extra_float_digits says: it is read again. */
	if (!isfinite(value))
		return;
	double_to_shortest_decimal_buf(value, digits);
	json_put_json(json, key, digits);
}

void
json_put_integer(StringInfo json, const char *key, int64 value)
{
	json_put_key(json, key);
	appendStringInfo(json, INT64_FORMAT, value);
}

void
json_put_json(StringInfo json, const char *key, const char *value)
{
	json_put_key(json, key);
	appendStringInfoString(json, value);
}

void
json_append_strings(StringInfo json, char *const *values, int count)
{
	int			i;

	appendStringInfoChar(json, '[');
	for (i = 0; i < count; i++)
	{
		if (i > 0)
			appendStringInfoChar(json, ',');
		escape_json(json, values[i]);
	}
	appendStringInfoChar(json, ']');
}

void
json_put_strings(StringInfo json, const char *key, char *const *values, int count)
{
	json_put_key(json, key);
	json_append_strings(json, values, count);
}

JsonbValue *
json_field(JsonbContainer *object, const char *key)
{
	JsonbValue	name;

	name.type = jbvString;
	name.val.string.val = unconstify(char *, key);
	name.val.string.len = strlen(key);
	return findJsonbValueFromContainer(object, JB_FOBJECT, &name);
}

JsonbContainer *
json_as_object(const JsonbValue *value)
{
	if (value == NULL || value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return NULL;
	return value->val.binary.data;
}

JsonbContainer *
json_as_array(const JsonbValue *value)
{
	if (value == NULL || value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		return NULL;
	return value->val.binary.data;
}

/* A finite number within bounds. */
bool
json_as_number(const JsonbValue *value, double minimum, double maximum, double *number)
{
	double		found;

	if (value == NULL || value->type != jbvNumeric)
		return false;
	found = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value->val.numeric)));
	if (!isfinite(found) || found < minimum || found > maximum)
		return false;
	*number = found;
	return true;
}

bool
json_as_integer(const JsonbValue *value, double minimum, double maximum, int *number)
{
	double		found;

	if (!json_as_number(value, minimum, maximum, &found) || found != floor(found))
		return false;
	*number = (int) found;
	return true;
}

char *
json_as_string(const JsonbValue *value)
{
	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}
