// What node_example.js shows, on codes of many lengths: every way in and out
// gives the same; what is wrong is refused with the right SQLSTATE.
const crypto = require('crypto');
const { Client } = require('pg');
const { toWire } = require('./node_example.js');

let passed = 0;
let failed = 0;
function check(name, good) {
  if (good) passed++;
  else { failed++; console.log('FAILED:', name); }
}

async function main() {
  const client = new Client();
  await client.connect();
  const one = async (text, values) => (await client.query({ text, values, rowMode: 'array' })).rows[0];
  const refused = async (sqlstate, text, values) => {
    try { await client.query(text, values); } catch (error) { return error.code === sqlstate; }
    return false;
  };

  // Digests instead of random numbers: the same in every run.
  for (const size of [1, 2, 7, 8, 9, 16, 32, 128, 2048]) {
    const code = Buffer.alloc(size, crypto.createHash('sha512').update(`code ${size}`).digest());
    const other = Buffer.alloc(size, crypto.createHash('sha512').update(`other ${size}`).digest());
    const digits = [...code].map((byte) => byte.toString(2).padStart(8, '0')).join('');
    const distance = [...code].reduce((sum, byte, i) => sum + (byte ^ other[i]).toString(2).replaceAll('0', '').length, 0);
    check(`${size} bytes, binary in, bytes out`, (await one('SELECT $1::bitcode::bytea', [toWire(code)]))[0].equals(code));
    check(`${size} bytes, binary in, digits out`, (await one('SELECT $1::bitcode', [toWire(code)]))[0] === digits);
    check(`${size} bytes, digits in, bytes out`, (await one('SELECT $1::bitcode::bytea', [digits]))[0].equals(code));
    check(`${size} bytes, hexadecimal in`, (await one('SELECT $1::bitcode', [`x${code.toString('hex')}`]))[0] === digits);
    check(`${size} bytes, distance`, (await one('SELECT $1::bitcode <~> $2', [toWire(code), toWire(other)]))[0] === distance);
    check(`${size} bytes, distance, one as text`, (await one('SELECT $1::bitcode <~> $2', [toWire(code), `x${other.toString('hex')}`]))[0] === distance);
  }
  check('NULL', (await one('SELECT $1::bitcode', [null]))[0] === null);
  check('features', (await one('SELECT $1::real[]::bitcode', [[0.5, -1, 0]]))[0] === '100');

  await client.query('CREATE TEMPORARY TABLE picture (id int, code bitcode(16))');
  const wires = [];
  for (let number = 0; number < 2000; number++) wires.push(`x${number.toString(16).padStart(4, '0')}`);
  await client.query('INSERT INTO picture SELECT position - 1, code FROM unnest($1::bitcode[]) WITH ORDINALITY AS given (code, position)', [wires]);
  await client.query('CREATE INDEX ON picture USING xmhash (code)');
  await client.query('SET enable_seqscan = off');
  // Prepared by the server, with a plan for any code.
  await client.query('SET plan_cache_mode = force_generic_plan');
  for (let number = 7; number < 2000; number += 101) {
    const values = [toWire([number >> 8, number & 255])];
    const nearest = await client.query({ name: 'nearest', text: 'SELECT id FROM picture ORDER BY code <~> $1 LIMIT 1', values });
    check(`nearest to ${number}`, nearest.rows.length === 1 && nearest.rows[0].id === number);
    const within = await client.query({ name: 'within', text: 'SELECT id FROM picture WHERE hamming_within(code, $1, 1)', values });
    const near = [...Array(2000).keys()].filter((n) => ((n ^ number) & ((n ^ number) - 1)) === 0);
    check(`within 1 of ${number}`, within.rows.map((row) => row.id).sort((a, b) => a - b).join() === near.join());
  }

  check('length of the column', await refused('22026', 'INSERT INTO picture VALUES (1, $1)', [toWire([1])]));
  check('length of the query', await refused('22026', 'SELECT FROM picture WHERE code <~> $1 > 3', [toWire([1, 2, 3])]));
  check('no digits', await refused('22P02', 'SELECT $1::bitcode', ['0120']));
  check('empty', await refused('22026', 'SELECT $1::bitcode', [toWire([])]));
  check('three bits', (await one('SELECT $1::bitcode', [Buffer.from([0, 0, 0, 3, 0xa0])]))[0] === '101');
  check('more than three bits', await refused('22P03', 'SELECT $1::bitcode', [Buffer.from([0, 0, 0, 3, 0xa1])]));

  await client.end();
  console.log(`node-postgres: ${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

main();
