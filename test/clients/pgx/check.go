// What example.go shows, on codes of many lengths: every way in and out gives the
// same; what is wrong is refused with the right SQLSTATE.  The test compiles it with
// the example for pgx 4 too, that version's path in the place of this one's.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

var passed, failed int

func report(good bool, name string, arguments ...interface{}) {
	if good {
		passed++
	} else {
		failed++
		fmt.Println("FAILED:", fmt.Sprintf(name, arguments...))
	}
}

func digits(code Code) string {
	var text []byte
	for _, b := range code {
		text = append(text, fmt.Sprintf("%08b", b)...)
	}
	return string(text)
}

func number(n int) Code { return Code{byte(n >> 8), byte(n)} }

func check(ctx context.Context, conn *pgx.Conn) error {
	seed := time.Now().UnixNano() % 1000000
	if given, err := strconv.ParseInt(os.Args[1], 10, 64); err == nil {
		seed = given
	}
	fmt.Println("seed", seed)
	random := rand.New(rand.NewSource(seed))
	one := func(into interface{}, query string, parameters ...interface{}) bool {
		err := conn.QueryRow(ctx, query, parameters...).Scan(into)
		if err != nil {
			fmt.Println(query, err)
		}
		return err == nil
	}
	refused := func(sqlstate, query string, parameters ...interface{}) bool {
		var state interface{ SQLState() string }
		_, err := conn.Exec(ctx, query, parameters...)
		return errors.As(err, &state) && state.SQLState() == sqlstate
	}
	if err := RegisterCode(ctx, conn); err != nil {
		return err
	}

	sizes := []int{1, 2, 7, 8, 9, 16, 32, 128, 2048}
	for len(sizes) < 20 {
		sizes = append(sizes, 1+random.Intn(2048))
	}
	for _, size := range sizes {
		code, other := make(Code, size), make(Code, size)
		random.Read(code)
		random.Read(other)
		distance, found, text, result := 0, 0, "", Code{}
		for i := range code {
			distance += bits.OnesCount8(code[i] ^ other[i])
		}
		report(one(&result, "SELECT $1::bitcode", code) && bytes.Equal(result, code), "%d bytes in and out", size)
		report(one(&text, "SELECT $1::bitcode::text", code) && text == digits(code), "%d bytes in, digits out", size)
		report(one(&result, "SELECT $1::text::bitcode", digits(code)) && bytes.Equal(result, code), "%d bytes, digits in", size)
		report(one(&found, "SELECT $1::bitcode <~> $2", code, other) && found == distance, "%d bytes, distance", size)
	}

	result, none := Code{1}, false
	report(one(&result, "SELECT NULL::bitcode") && result == nil, "NULL out")
	report(one(&none, "SELECT $1::bitcode IS NULL", Code(nil)) && none, "NULL in")
	var codes []Code
	report(one(&codes, "SELECT $1::bitcode[]", []Code{{1, 2}, nil, {3, 4}}) && len(codes) == 3 && bytes.Equal(codes[0], Code{1, 2}) && codes[1] == nil && bytes.Equal(codes[2], Code{3, 4}), "arrays")
	report(one(&codes, "SELECT $1::bitcode[]", []Code{}) && len(codes) == 0, "empty array")
	var text string
	report(one(&text, "SELECT $1::real[]::bitcode::text", []float32{0.5, -1, 0}) && text == "100", "features")
	report(conn.QueryRow(ctx, "SELECT '101'::bitcode").Scan(&result) != nil, "three bits out")

	if _, err := conn.Exec(ctx, "CREATE TEMPORARY TABLE picture (id int, code bitcode(16))"); err != nil {
		return err
	}
	copied, err := conn.CopyFrom(ctx, pgx.Identifier{"picture"}, []string{"id", "code"}, pgx.CopyFromSlice(2000, func(n int) ([]interface{}, error) {
		return []interface{}{int32(n), number(n)}, nil
	}))
	report(err == nil && copied == 2000, "COPY in")
	_, err = conn.Exec(ctx, "CREATE INDEX ON picture USING xmhash (code); SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
	report(err == nil, "CREATE INDEX")
	for i := 0; i < 20; i++ {
		n := random.Intn(2000)
		id, near := -1, 0
		// pgx prepares and keeps its statements: here with a plan for any code.
		report(one(&id, "SELECT id FROM picture ORDER BY code <~> $1 LIMIT 1", number(n)) && id == n, "nearest to %d", n)
		for other := 0; other < 2000; other++ {
			if bits.OnesCount(uint(n^other)) <= 2 {
				near++
			}
		}
		rows, err := conn.Query(ctx, "SELECT id, code FROM picture WHERE hamming_within(code, $1, $2)", number(n), 2)
		if err != nil {
			return err
		}
		for rows.Next() {
			good := rows.Scan(&id, &result) == nil && bytes.Equal(result, number(id)) && bits.OnesCount(uint(n^id)) <= 2
			if good {
				near--
			}
		}
		report(rows.Err() == nil && near == 0, "within 2 of %d", n)
	}

	report(refused("22026", "INSERT INTO picture VALUES (1, $1)", Code{1}), "length of the column")
	report(refused("22026", "SELECT FROM picture WHERE code <~> $1 > 3", Code{1, 2, 3}), "length of the query")
	report(refused("22P02", "SELECT $1::text::bitcode", "0120"), "no digits")
	report(refused("22026", "SELECT $1::bitcode", Code{}), "empty")

	fmt.Printf("pgx: %d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
	return nil
}
