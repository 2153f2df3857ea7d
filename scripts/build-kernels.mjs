/** `npm run kernels`: compiles kernels/codecs.ts into src/outer/codecs/kernels-wasm.ts; with --check only compares. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import asc from 'assemblyscript/asc';

const root = path.resolve(import.meta.dirname, '..');
const target = path.join(root, 'src/outer/codecs/kernels-wasm.ts');
const scratch = mkdtempSync(path.join(tmpdir(), 'heliotrope-kernels-'));
const binary = path.join(scratch, 'codecs.wasm');
const options = ['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--initialMemory', '16'];
const { error, stderr } = await asc.main([
  path.join(root, 'kernels/codecs.ts'),
  '--baseDir',
  '/',
  '--outFile',
  binary,
  ...options,
]);
if (error) {
  process.stderr.write(stderr.toString());
  process.exit(1);
}
const base64 = readFileSync(binary).toString('base64');
rmSync(scratch, { recursive: true });
const lines = base64.match(/.{1,116}/g).map((line) => `  '${line}'`);
const text = `/** Compiled from kernels/codecs.ts by \`npm run kernels\`. */\nexport const KERNELS_BASE64 = [\n${lines.join(',\n')},\n].join('');\n`;
if (!process.argv.includes('--check')) writeFileSync(target, text);
else if (readFileSync(target, 'utf8') !== text) {
  process.stderr.write(
    'src/outer/codecs/kernels-wasm.ts is not what kernels/codecs.ts compiles to: run `npm run kernels`.\n',
  );
  process.exit(1);
}
