/** Writes schema/*.schema.json from the declarations of the files that users write; with `--check` only says whether they are current. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { templateSchema } from '../src/energy/meters/template.ts';
import { siteSchema } from '../src/energy/site/site-schema.ts';
import { runFileSchema } from '../src/protocol/run-file.ts';
import { homesSchema } from '../src/simulate/homes-file.ts';

const SCHEMAS = {
  'run.schema.json': { title: 'Heliotrope run file', schema: runFileSchema, reused: 'inline' },
  'site.schema.json': { title: 'Heliotrope site file', schema: siteSchema, reused: 'inline' },
  'homes.schema.json': { title: 'Heliotrope homes file', schema: homesSchema, reused: 'inline' },
  // A term stands in sums, products and alternatives of five sources: it is written once.
  'meter-template.schema.json': { title: 'Heliotrope meter template', schema: templateSchema, reused: 'ref' },
} as const;

for (const [name, { title, schema, reused }] of Object.entries(SCHEMAS)) {
  const file = path.resolve(import.meta.dirname, '../schema', name);
  const text = `${JSON.stringify({ title, ...z.toJSONSchema(schema, { io: 'input', reused }) }, null, 2)}\n`;
  if (!process.argv.includes('--check')) writeFileSync(file, text);
  else if (existsSync(file) && readFileSync(file, 'utf8') === text) console.log(`schema/${name} is current`);
  else {
    console.log(`schema/${name} is stale: npm run schema`);
    process.exitCode = 1;
  }
}
