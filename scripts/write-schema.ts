/** Writes schema/run.schema.json from the declaration of the run file; with `--check` only says whether it is current. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { runFileSchema } from '../src/protocol/run-file.ts';

const file = path.resolve(import.meta.dirname, '../schema/run.schema.json');
const schema = { title: 'Heliotrope run file', ...z.toJSONSchema(runFileSchema, { io: 'input' }) };
const text = `${JSON.stringify(schema, null, 2)}\n`;
if (process.argv.includes('--check')) {
  const current = readFileSync(file, 'utf8') === text;
  console.log(current ? 'schema/run.schema.json is current' : 'schema/run.schema.json is stale: npm run schema');
  process.exitCode = current ? 0 : 1;
} else writeFileSync(file, text);
