/** Measures the tiny bases of test/fixtures/bases and writes the table of them in docs/models.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BASE_NAMES, expectedOf, measureBase } from '../test/ml/models/bases.ts';

const file = path.resolve(import.meta.dirname, '../docs/models.md');
const [begin, end] = ['<!-- bases: npm run bases -->', '<!-- /bases -->'];
const digit = (x: number): string => (x < 1e-9 ? '0' : x.toExponential(0));

const rows: string[] = [];
for (const name of BASE_NAMES) {
  const { what, type } = expectedOf(name);
  const { whole, lora, onnx, gguf } = await measureBase(name);
  const logits = [whole.logits, lora.logits, onnx].map(digit).join(', ');
  const gradients = [whole.gradients, lora.gradients].map(digit).join(', ');
  const file = typeof gguf === 'string' ? 'refused' : gguf.architecture;
  rows.push(`| ${name}, ${type}: ${what} | ${logits} | ${gradients} | ${file} |`);
}
const table = ['| base | logits | gradients | GGUF |', '| --- | --- | --- | --- |', ...rows].join('\n');
const text = readFileSync(file, 'utf8');
const [before, after] = [text.slice(0, text.indexOf(begin)), text.slice(text.indexOf(end))];
writeFileSync(file, `${before}${begin}\n${table}\n${after}`);
