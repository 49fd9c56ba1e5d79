/*
 * bitcode/cast.c: casts to and from bitcode.
 *
 * A bit string already has the bytes of a code, but not every bit string is
 * one: it may be empty or too long.  So the cast is a function that looks at
 * the length and hands the same bytes on, and a planner support function takes
 * even that away where the type bit(n) declares the length.  Then nothing is
 * left to do, and ALTER TABLE from bit(n) does not rewrite the table.  A cast of
 * somebody's own to bit(n) can lie about it, so readers of codes look again.
 *
 * Lengths must match: no cast truncates or pads, an explicit one neither.
 */
#include "bitcode/bitcode.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"

XMHASH_FUNCTION(bitcode_coerce);
XMHASH_FUNCTION(bitcode_coerce_support);
XMHASH_FUNCTION(bitcode_from_bytea);
XMHASH_FUNCTION(bitcode_from_bigint);
XMHASH_FUNCTION(bitcode_from_numeric);
XMHASH_FUNCTION(bitcode_from_boolean_array);
XMHASH_FUNCTION(bitcode_from_real_array);
XMHASH_FUNCTION(bitcode_from_double_array);
XMHASH_FUNCTION(bitcode_to_bytea);
XMHASH_FUNCTION(bitcode_to_bigint);
XMHASH_FUNCTION(bitcode_to_numeric);
XMHASH_FUNCTION(bitcode_to_boolean_array);
XMHASH_FUNCTION(bitcode_to_real_array);

/*
 * bitcode(value, typmod, explicit): the casts from bit and bit varying, and
 * the length coercion of bitcode(n).  All three types have one layout.
 */
Datum
bitcode_coerce(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);

	bitcode_check_typmod(code.bits, PG_GETARG_INT32(1), NULL);
	PG_RETURN_POINTER(code.varlena);
}

Datum
bitcode_coerce_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	FuncExpr   *call;
	Node	   *source;
	Node	   *modifier;
	int32		typmod;
	int32		known;

	if (!IsA(request, SupportRequestSimplify))
		PG_RETURN_POINTER(NULL);
	call = ((SupportRequestSimplify *) request)->fcall;
	source = linitial(call->args);
	modifier = lsecond(call->args);
	if (!IsA(modifier, Const) || ((Const *) modifier)->constisnull)
		PG_RETURN_POINTER(NULL);

	typmod = DatumGetInt32(((Const *) modifier)->constvalue);
	known = bitcode_declared_bits(source, call->funcresulttype);
	if (exprType(source) == call->funcresulttype)
	{
		/* What is a code stays one, unless another length is asked for. */
		if (typmod >= 0 && known != typmod)
			PG_RETURN_POINTER(NULL);
	}
	else if (known < 1 || known > BITCODE_MAX_BITS ||
			 (typmod >= 0 && known != typmod))
		PG_RETURN_POINTER(NULL);

	/* A relabelling of a relabelling is one: as the parser would build it. */
	while (IsA(source, RelabelType))
		source = (Node *) ((RelabelType *) source)->arg;
	PG_RETURN_POINTER(makeRelabelType((Expr *) source, call->funcresulttype, typmod,
									  InvalidOid, call->funcformat));
}

Datum
bitcode_from_bytea(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	int64		bits = (int64) VARSIZE_ANY_EXHDR(bytes) * BITS_PER_BYTE;
	Bitcode    *code;

	bitcode_check_length(bits, NULL);
	code = bitcode_make((int) bits);
	memcpy(BITCODE_DATA(code), VARDATA_ANY(bytes), BITCODE_BYTES(code));
	PG_RETURN_BITCODE_P(code);
}

Datum
bitcode_to_bytea(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);
	bytea	   *result;

	if (code.bits % BITS_PER_BYTE != 0)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
				 errmsg("cannot cast a bitcode of %d bits to bytea", code.bits),
				 errdetail("The length must be a multiple of 8 bits.")));
	result = palloc(VARHDRSZ + code.bytes);
	SET_VARSIZE(result, VARHDRSZ + code.bytes);
	memcpy(VARDATA(result), code.data, code.bytes);
	PG_RETURN_BYTEA_P(result);
}

/* Most significant bit first, as core casts bigint to bit(64). */
static Datum
cast_from_number(uint64 value)
{
	Bitcode    *code = bitcode_make(64);

	for (int i = 0; i < 8; i++)
		BITCODE_DATA(code)[i] = (uint8) (value >> (56 - 8 * i));
	PG_RETURN_BITCODE_P(code);
}

static uint64
cast_to_number(Datum datum, const char *type)
{
	BitcodeRef code = DatumGetBitcodeRef(datum);
	uint64		value = 0;

	if (code.bits != 64)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
				 errmsg("cannot cast a bitcode of %d bits to %s", code.bits, type),
				 errdetail("The length must be 64 bits.")));
	for (int i = 0; i < 8; i++)
		value = value << 8 | code.data[i];
	return value;
}

Datum
bitcode_from_bigint(PG_FUNCTION_ARGS)
{
	return cast_from_number((uint64) PG_GETARG_INT64(0));
}

Datum
bitcode_to_bigint(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) cast_to_number(PG_GETARG_DATUM(0), "bigint"));
}

/*
 * An unsigned number of 64 bits, which no integer type of core's can hold, by
 * way of its decimal digits.  A fraction of zeros is none.
 */
Datum
bitcode_from_numeric(PG_FUNCTION_ARGS)
{
	char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, PG_GETARG_DATUM(0)));
	const char *digit = digits;
	uint64		value = 0;
	bool		fits = true;

	/* Also what has no digits: a sign, NaN, Infinity. */
	if (*digit < '0' || *digit > '9')
		fits = false;
	for (; fits && *digit >= '0' && *digit <= '9'; digit++)
	{
		if (value > (PG_UINT64_MAX - (*digit - '0')) / 10)
			fits = false;
		value = value * 10 + (*digit - '0');
	}
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("number %.40s%s is out of range for a bitcode of 64 bits",
						digits, strlen(digits) > 40 ? "..." : ""),
				 errdetail("It must be 0 to 18446744073709551615.")));
	if (*digit == '.')
		digit += 1 + strspn(digit + 1, "0");
	if (*digit != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot cast number %.40s%s with a fraction to bitcode",
						digits, strlen(digits) > 40 ? "..." : "")));
	return cast_from_number(value);
}

Datum
bitcode_to_numeric(PG_FUNCTION_ARGS)
{
	uint64		value = cast_to_number(PG_GETARG_DATUM(0), "numeric");

	return DirectFunctionCall3(numeric_in, CStringGetDatum(psprintf("%llu", (unsigned long long) value)),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* Check an array that becomes a code of one bit an element; gives its size. */
static int
cast_check_array(ArrayType *array)
{
	int			dimensions = ARR_NDIM(array);

	if (dimensions > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("cannot cast an array of %d dimensions to bitcode", dimensions),
				 errdetail("The array must have one dimension.")));
	bitcode_check_length(dimensions == 0 ? 0 : ARR_DIMS(array)[0], NULL);

	if (ARR_HASNULL(array) && array_contains_nulls(array))
	{
		const uint8 *present = ARR_NULLBITMAP(array);
		int			i = 0;

		while (present[i / 8] & (1 << i % 8))
			i++;
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("cannot cast an array with a null element to bitcode"),
				 errdetail("Element %d is null.", i + 1)));
	}
	return ARR_DIMS(array)[0];
}

static void
cast_refuse_nan(int position)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("cannot cast an array with NaN to bitcode"),
			 errdetail("Element %d is NaN, which is neither positive nor not.",
					   position)));
}

static inline void
cast_set_bit(Bitcode *code, int i)
{
	BITCODE_DATA(code)[i / BITS_PER_BYTE] |= 0x80 >> i % BITS_PER_BYTE;
}

Datum
bitcode_from_boolean_array(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			bits = cast_check_array(array);
	const bool *elements = (const bool *) ARR_DATA_PTR(array);
	Bitcode    *code = bitcode_make(bits);

	for (int i = 0; i < bits; i++)
		if (elements[i])
			cast_set_bit(code, i);
	PG_RETURN_BITCODE_P(code);
}

/* A code quantises a vector by sign: bit i is whether element i is positive. */
Datum
bitcode_from_real_array(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			bits = cast_check_array(array);
	const float4 *elements = (const float4 *) ARR_DATA_PTR(array);
	Bitcode    *code = bitcode_make(bits);

	for (int i = 0; i < bits; i++)
	{
		if (unlikely(isnan(elements[i])))
			cast_refuse_nan(i + 1);
		if (elements[i] > 0)
			cast_set_bit(code, i);
	}
	PG_RETURN_BITCODE_P(code);
}

Datum
bitcode_from_double_array(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			bits = cast_check_array(array);
	const float8 *elements = (const float8 *) ARR_DATA_PTR(array);
	Bitcode    *code = bitcode_make(bits);

	for (int i = 0; i < bits; i++)
	{
		if (unlikely(isnan(elements[i])))
			cast_refuse_nan(i + 1);
		if (elements[i] > 0)
			cast_set_bit(code, i);
	}
	PG_RETURN_BITCODE_P(code);
}

/* A new one-dimensional array without nulls, elements yet to be filled in. */
static ArrayType *
cast_make_array(int count, Oid element, Size element_size)
{
	Size		size = ARR_OVERHEAD_NONULLS(1) + count * element_size;
	ArrayType  *array = palloc0(size);

	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = element;
	ARR_DIMS(array)[0] = count;
	ARR_LBOUND(array)[0] = 1;
	return array;
}

static inline bool
cast_bit_is_set(const BitcodeRef *code, int i)
{
	return code->data[i / BITS_PER_BYTE] & (0x80 >> i % BITS_PER_BYTE);
}

Datum
bitcode_to_boolean_array(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);
	ArrayType  *array = cast_make_array(code.bits, BOOLOID, sizeof(bool));
	bool	   *elements = (bool *) ARR_DATA_PTR(array);

	for (int i = 0; i < code.bits; i++)
		elements[i] = cast_bit_is_set(&code, i);
	PG_RETURN_ARRAYTYPE_P(array);
}

/* -1 and +1, so that a dot product with a real vector rescores a code. */
Datum
bitcode_to_real_array(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);
	ArrayType  *array = cast_make_array(code.bits, FLOAT4OID, sizeof(float4));
	float4	   *elements = (float4 *) ARR_DATA_PTR(array);

	for (int i = 0; i < code.bits; i++)
		elements[i] = cast_bit_is_set(&code, i) ? 1 : -1;
	PG_RETURN_ARRAYTYPE_P(array);
}
