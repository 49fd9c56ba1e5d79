// Codes with node-postgres: as text without further ado; as bytes by one
// function for parameters and a cast for results.  (Its option `binary: true`
// for results corrupts the bytes of any type: node-postgres issue 3495.)
// Connects as libpq's environment says.
const { Client } = require('pg');

// The binary format of a code of a multiple of 8 bits, eight to a byte, the
// first bit highest: the number of bits, then the bytes.
function toWire(bytes) {
  const wire = Buffer.alloc(4 + bytes.length);
  wire.writeInt32BE(8 * bytes.length);
  wire.set(bytes, 4);
  return wire;
}

// An array of such codes, as text.
const toArray = (codes) => `{${codes.map((bytes) => (bytes === null ? 'NULL' : `x${Buffer.from(bytes).toString('hex')}`)).join()}}`;

async function main() {
  const client = new Client();
  await client.connect();
  await client.query('CREATE TEMPORARY TABLE picture (id int, code bitcode(16))');
  await client.query('CREATE INDEX ON picture USING xmhash (code)');

  // Text: digits, or hexadecimal digits after an x.
  await client.query('INSERT INTO picture VALUES ($1, $2), ($3, $4)', [1, 'xCAFE', 2, '1100101011111111']);
  console.log((await client.query('SELECT id, code FROM picture ORDER BY code <~> $1', ['xCAFF'])).rows);

  // Bytes: a Buffer is sent in the binary format; a bytea comes back as a Buffer.
  await client.query('INSERT INTO picture VALUES ($1, $2), (4, $3)', [3, toWire([0x00, 0xff]), null]);
  const nearest = await client.query('SELECT id, code::bytea FROM picture ORDER BY code <~> $1 LIMIT 3', [toWire([0xca, 0xff])]);
  console.log(nearest.rows);

  // Many at once: two arrays, which become rows.
  const ids = [...Array(1000).keys()].map((number) => number + 5);
  const codes = toArray(ids.map((number) => [number >> 8, number & 255]));
  await client.query('INSERT INTO picture SELECT * FROM unnest($1::int[], $2::bitcode[])', [ids, codes]);
  const near = await client.query('SELECT count(*) FROM picture WHERE hamming_within(code, $1, 1)', [toWire([0x01, 0xff])]);
  console.log(near.rows);

  // Arrays of codes, both ways.
  const some = await client.query('SELECT array_agg(code::bytea ORDER BY id) AS codes FROM picture WHERE code = ANY ($1)', [toArray([[0xca, 0xfe], [0x00, 0xff], null])]);
  console.log(some.rows);
  await client.end();
}

module.exports = { toWire, toArray };
if (require.main === module) main();
