/*
 * bitcode/io.c: text and binary input and output of bitcode, and its type modifier.
 */
#include "bitcode/bitcode.h"

#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"

#define BITS_PER_DIGIT 4

/* What may surround the digits. */
#define BLANKS " \t\n\r\v\f"

XMHASH_FUNCTION(bitcode_in);
XMHASH_FUNCTION(bitcode_out);
XMHASH_FUNCTION(bitcode_to_hex);
XMHASH_FUNCTION(bitcode_to_bin);
XMHASH_FUNCTION(bitcode_recv);
XMHASH_FUNCTION(bitcode_send);
XMHASH_FUNCTION(bitcode_typmod_in);
XMHASH_FUNCTION(bitcode_typmod_out);

/* Report the character at offset; its position counts characters, not bytes. */
static void
io_report_digit(const char *string, size_t offset, bool hex, Node *escontext)
{
	const char *bad = string + offset;
	int			position = pg_mbstrlen_with_len(string, offset) + 1;
	int			width = Min((int) strlen(bad), pg_mblen(bad));

	soft_ereport(escontext,
				 (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				  errmsg("invalid input syntax for type bitcode: \"%.*s\" at position %d is not a %s digit",
						 width, bad, position, hex ? "hexadecimal" : "binary"),
				  !hex && strchr("23456789abcdefABCDEFxX", *bad) ?
				  errhint("Hexadecimal digits follow a leading x, as in xCAFE.") : 0));
}

static int
io_digit_value(char digit)
{
	if (digit <= '9')
		return digit - '0';
	return (digit | 0x20) - 'a' + 10;
}

/* Hexadecimal digits follow x, 0x or \x, as core and other programs write them. */
static const char *
io_skip_hex_prefix(const char *string)
{
	const char *x = string;

	if (*x == '0' || *x == '\\')
		x++;
	return *x == 'x' || *x == 'X' ? x + 1 : string;
}

Datum
bitcode_in(PG_FUNCTION_ARGS)
{
	const char *string = PG_GETARG_CSTRING(0);
	int32		typmod = PG_GETARG_INT32(2);
	const char *start = string + strspn(string, BLANKS);
	const char *digits = io_skip_hex_prefix(start);
	bool		hex = digits != start;
	size_t		count = strspn(digits, hex ? "0123456789abcdefABCDEF" : "01");
	size_t		blanks = strspn(digits + count, BLANKS);
	int			digit_bits = hex ? BITS_PER_DIGIT : 1;
	Bitcode    *code;

	if (digits[count + blanks] != '\0')
	{
		io_report_digit(string, digits + count - string, hex, fcinfo->context);
		PG_RETURN_NULL();
	}
	if (!bitcode_check_length((int64) count * digit_bits, fcinfo->context) ||
		!bitcode_check_typmod((int) count * digit_bits, typmod, fcinfo->context))
		PG_RETURN_NULL();

	code = bitcode_make((int) count * digit_bits);
	for (size_t i = 0; i < count; i++)
	{
		int			bit = (int) i * digit_bits;
		int			shift = BITS_PER_BYTE - digit_bits - bit % BITS_PER_BYTE;

		BITCODE_DATA(code)[bit / BITS_PER_BYTE] |= io_digit_value(digits[i]) << shift;
	}
	PG_RETURN_BITCODE_P(code);
}

static char *
io_put_hex(char *out, const BitcodeRef *code, const char *digits)
{
	for (int i = 0; i < code->bits / BITS_PER_DIGIT; i++)
		*out++ = digits[(code->data[i / 2] >> (i % 2 ? 0 : 4)) & 0xF];
	return out;
}

static char *
io_put_binary(char *out, const BitcodeRef *code)
{
	for (int i = 0; i < code->bits; i++)
		*out++ = (code->data[i / 8] >> (7 - i % 8)) & 1 ? '1' : '0';
	return out;
}

/* Of any length, and so does bitcode_send(): one false code must not stop a dump. */
Datum
bitcode_out(PG_FUNCTION_ARGS)
{
	BitcodeRef code = DatumGetBitcodeRef(PG_GETARG_DATUM(0));
	char	   *result = palloc(code.bits + 2);
	char	   *end = result;

	if (xmhash_bitcode_output == BITCODE_OUTPUT_HEX && code.bits % BITS_PER_DIGIT == 0)
	{
		*end++ = 'x';
		end = io_put_hex(end, &code, "0123456789ABCDEF");
	}
	else
		end = io_put_binary(end, &code);
	*end = '\0';
	PG_RETURN_CSTRING(result);
}

/* As core's to_hex() writes numbers: lower case and no prefix. */
Datum
bitcode_to_hex(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);
	text	   *result;
	char	   *end;

	if (code.bits % BITS_PER_DIGIT != 0)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
				 errmsg("cannot write a bitcode of %d bits in hexadecimal digits", code.bits),
				 errdetail("The length must be a multiple of %d bits.", BITS_PER_DIGIT),
				 errhint("Use to_bin.")));
	result = palloc(VARHDRSZ + code.bits / BITS_PER_DIGIT);
	end = io_put_hex(VARDATA(result), &code, "0123456789abcdef");
	SET_VARSIZE(result, end - (char *) result);
	PG_RETURN_TEXT_P(result);
}

Datum
bitcode_to_bin(PG_FUNCTION_ARGS)
{
	BitcodeRef code = PG_GETARG_BITCODE_REF(0);
	text	   *result = palloc(VARHDRSZ + code.bits);
	char	   *end = io_put_binary(VARDATA(result), &code);

	SET_VARSIZE(result, end - (char *) result);
	PG_RETURN_TEXT_P(result);
}

/*
 * The wire format is that of core's bit varying.  Bits set in the padding are
 * refused, not cleared: equality and distance compare whole bytes, and a
 * client that sends them has a defect it should hear about.
 */
Datum
bitcode_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int32		typmod = PG_GETARG_INT32(2);
	int32		bits = (int32) pq_getmsgint(buf, sizeof(int32));
	Bitcode    *code;

	if (bits < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid length %d in external bitcode", bits)));
	bitcode_check_length(bits, NULL);
	bitcode_check_typmod(bits, typmod, NULL);

	code = bitcode_make(bits);
	pq_copymsgbytes(buf, (char *) BITCODE_DATA(code), BITCODE_BYTES(code));
	if (bits % BITS_PER_BYTE != 0 &&
		BITCODE_DATA(code)[BITCODE_BYTES(code) - 1] & (0xFF >> bits % BITS_PER_BYTE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("external bitcode of %d bits has nonzero padding", bits),
				 errdetail("The %d unused bits of the last byte must be zero.",
						   BITS_PER_BYTE - bits % BITS_PER_BYTE)));
	PG_RETURN_BITCODE_P(code);
}

Datum
bitcode_send(PG_FUNCTION_ARGS)
{
	BitcodeRef code = DatumGetBitcodeRef(PG_GETARG_DATUM(0));
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendint32(&buf, code.bits);
	pq_sendbytes(&buf, (const char *) code.data, code.bytes);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

Datum
bitcode_typmod_in(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			count;
	int32	   *modifiers = ArrayGetIntegerTypmods(array, &count);

	if (count != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("type bitcode takes one modifier, its length in bits, not %d",
						count)));
	if (modifiers[0] < 1 || modifiers[0] > BITCODE_MAX_BITS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("length %d for type bitcode is out of range", modifiers[0]),
				 errdetail("A bitcode has 1 to %d bits.", BITCODE_MAX_BITS)));
	PG_RETURN_INT32(modifiers[0]);
}

Datum
bitcode_typmod_out(PG_FUNCTION_ARGS)
{
	int32		typmod = PG_GETARG_INT32(0);

	PG_RETURN_CSTRING(typmod < 0 ? pstrdup("") : psprintf("(%d)", typmod));
}
