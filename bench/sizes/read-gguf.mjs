/**
 * What llama.cpp says comes after a text: its tokens, and the logarithm of each next token's probability. Arguments: the folder of node-llama-cpp
 * and a GGUF file; the text and its tokens come as JSON.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [library, file] = process.argv.slice(2);
const { text, tokens } = JSON.parse(readFileSync(0, 'utf8'));
const { getLlama } = await import(pathToFileURL(path.join(library, 'dist/index.js')).href);
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'error' });
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
const context = await model.createContext({ contextSize: 64, batchSize: 64, threads: 2 });
const next = { generateNext: { probabilities: true, options: { temperature: 1, topK: 0, topP: 1 } } };
const results = await context.getSequence().controlledEvaluate([...tokens.slice(0, -1), [tokens.at(-1), next]]);
const logarithms = [];
for (const [token, p] of results.at(-1).next.probabilities) logarithms[token] = Math.log(p);
process.stdout.write(
  `${JSON.stringify({ ids: model.tokenize(text, true), logarithms: Array.from(logarithms, (x) => x ?? null) })}\n`,
);
process.exit(0);
