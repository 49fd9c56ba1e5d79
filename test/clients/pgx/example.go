package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Code is a code of a multiple of 8 bits, eight to a byte, the first bit highest; nil is NULL.
type Code []byte

func (code Code) BitsValue() (pgtype.Bits, error) {
	return pgtype.Bits{Bytes: code, Len: int32(8 * len(code)), Valid: code != nil}, nil
}

func (code *Code) ScanBits(bits pgtype.Bits) error {
	if bits.Len%8 != 0 {
		return fmt.Errorf("a code of %d bits does not fill its bytes; select it as text", bits.Len)
	}
	*code = nil
	if bits.Valid {
		*code = append(Code{}, bits.Bytes...)
	}
	return nil
}

// RegisterCode is for one connection; for those of a pool: pgxpool.Config's AfterConnect.
// In the binary format a bitcode is what bit varying is.
func RegisterCode(ctx context.Context, conn *pgx.Conn) error {
	var oid, array uint32
	err := conn.QueryRow(ctx, "SELECT oid, typarray FROM pg_type WHERE oid = 'bitcode'::regtype").Scan(&oid, &array)
	if err != nil {
		return err
	}
	bitcode := &pgtype.Type{Name: "bitcode", OID: oid, Codec: pgtype.BitsCodec{}}
	conn.TypeMap().RegisterType(bitcode)
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "_bitcode", OID: array, Codec: &pgtype.ArrayCodec{ElementType: bitcode}})
	return nil
}

func example(ctx context.Context, conn *pgx.Conn) error {
	var rows pgx.Rows
	_, err := conn.Exec(ctx, `CREATE TEMPORARY TABLE picture (id int, code bitcode(16));
		CREATE INDEX ON picture USING xmhash (code)`)
	if err != nil {
		return err
	}

	// Text: digits, or hexadecimal digits after an x.
	_, err = conn.Exec(ctx, "INSERT INTO picture VALUES ($1, $2::text::bitcode), ($3, $4::text::bitcode)", 1, "xCAFE", 2, "1100101011111111")
	if err != nil {
		return err
	}
	var id int
	var digits string
	err = conn.QueryRow(ctx, "SELECT id, code::text FROM picture ORDER BY code <~> $1::text::bitcode LIMIT 1", "xCAFF").Scan(&id, &digits)
	if err != nil {
		return err
	}
	fmt.Println(id, digits)

	// Bytes, in the binary format.
	if err = RegisterCode(ctx, conn); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "INSERT INTO picture VALUES ($1, $2), (4, $3)", 3, Code{0x00, 0xff}, Code(nil))
	if err != nil {
		return err
	}
	rows, err = conn.Query(ctx, "SELECT id, code FROM picture ORDER BY code <~> $1 LIMIT 3", Code{0xca, 0xff})
	if err != nil {
		return err
	}
	for rows.Next() {
		var code Code
		if err = rows.Scan(&id, &code); err != nil {
			return err
		}
		fmt.Printf("%d %x\n", id, []byte(code))
	}
	if err = rows.Err(); err != nil {
		return err
	}

	// Many at once: COPY in the binary format, which needs the codec.
	number := 4
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"picture"}, []string{"id", "code"}, pgx.CopyFromSlice(1000, func(int) ([]interface{}, error) {
		number++
		return []interface{}{int32(number), Code{byte(number >> 8), byte(number)}}, nil
	}))
	if err != nil {
		return err
	}
	var count int
	err = conn.QueryRow(ctx, "SELECT count(*) FROM picture WHERE hamming_within(code, $1, 1)", Code{0x01, 0xff}).Scan(&count)
	if err != nil {
		return err
	}
	fmt.Println(count)

	// Arrays of codes, both ways.
	var codes []Code
	err = conn.QueryRow(ctx, "SELECT array_agg(code ORDER BY id) FROM picture WHERE code = ANY ($1)", []Code{{0xca, 0xfe}, {0x00, 0xff}}).Scan(&codes)
	if err != nil {
		return err
	}
	fmt.Printf("%x\n", codes)
	return nil
}

// Without an argument the example; with one the checks, which are in check.go.
func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, "")
	if err == nil {
		defer conn.Close(ctx)
		if len(os.Args) > 1 {
			err = check(ctx, conn)
		} else {
			err = example(ctx, conn)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
