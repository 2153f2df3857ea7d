import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadWeights, openWeights, saveWeights } from '../../../src/ml/models/hugging-face.ts';
import { openSafetensors } from '../../../src/ml/tensor/safetensors.ts';
import { FIXTURES } from './reference.ts';

const temporary = (): string => mkdtempSync(path.join(tmpdir(), 'heliotrope-shards-'));
const original = path.join(FIXTURES, 'transformers-llama');
const saved = loadWeights(original);
const weights = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('model'));
const INDEX = 'model.safetensors.index.json';

describe('weights that are larger than one file may be', () => {
  it('are saved as transformers saves them, and loaded again as they were', () => {
    const folder = temporary();
    saveWeights(folder, saved, undefined, 2_000);
    const index = JSON.parse(readFileSync(path.join(folder, INDEX), 'utf8'));
    const files = weights(folder).filter((name) => name !== INDEX);
    expect(files.length).toBeGreaterThan(2);
    const count = String(files.length).padStart(5, '0');
    expect(files).toEqual(files.map((_, i) => `model-${String(i + 1).padStart(5, '0')}-of-${count}.safetensors`));
    expect(Object.keys(index.weight_map)).toEqual([...saved.parameters.keys()]);
    const bytes = [...saved.parameters.values()].reduce((sum, data) => sum + data.byteLength, 0);
    expect(index.metadata).toEqual({ total_size: bytes });
    for (const file of files) {
      const opened = openSafetensors(path.join(folder, file));
      const sizes = [...opened.shapes.values()].map((shape) => 4 * shape.reduce((a, b) => a * b, 1));
      opened.close();
      expect(sizes.length === 1 || sizes.reduce((a, b) => a + b, 0) <= 2_000).toBe(true);
    }
    expect(loadWeights(folder)).toEqual(saved);
  });

  it('are the same bytes in one file when there is room for it, whether they come from memory or from files', () => {
    const [whole, sharded, copied] = [temporary(), temporary(), temporary()];
    saveWeights(whole, saved);
    saveWeights(sharded, saved, undefined, 1_000);
    const opened = openWeights(sharded);
    saveWeights(copied, opened);
    opened.close();
    expect(weights(copied)).toEqual(['model.safetensors']);
    expect(readFileSync(path.join(copied, 'model.safetensors'))).toEqual(
      readFileSync(path.join(whole, 'model.safetensors')),
    );
  });

  it('leave nothing of an earlier saving behind that would be loaded instead', () => {
    const folder = temporary();
    const changed = {
      ...saved,
      parameters: new Map([...saved.parameters].map(([n, data]) => [n, data.map((x) => -x)])),
    };
    saveWeights(folder, saved, undefined, 1_000);
    saveWeights(folder, changed, undefined, 3_000);
    expect(loadWeights(folder)).toEqual(changed);
    saveWeights(folder, saved);
    expect(weights(folder)).toEqual(['model.safetensors']);
    expect(loadWeights(folder)).toEqual(saved);
    saveWeights(folder, changed, undefined, 3_000);
    expect(weights(folder)).not.toContain('model.safetensors');
    expect(loadWeights(folder)).toEqual(changed);
  });

  it('can be saved over the files that they are read from', () => {
    const folder = temporary();
    saveWeights(folder, saved, undefined, 1_000);
    const opened = openWeights(folder);
    saveWeights(folder, opened, undefined, 5_000);
    opened.close();
    expect(loadWeights(folder)).toEqual(saved);
  });

  it.each([
    ['a file elsewhere', { weight_map: { a: '../model.safetensors' } }, /it names \.\.\/model\.safetensors/],
    ['no file', { weight_map: { a: 7 } }, /it names 7/],
    ['a file that is not there', { weight_map: { a: 'gone.safetensors' } }, /gone\.safetensors.*ENOENT/],
    ['nothing', {}, /has no weight_map/],
  ])('are refused when their index names %s', (_, index, message) => {
    const folder = temporary();
    saveWeights(folder, saved, undefined, 1_000);
    writeFileSync(path.join(folder, INDEX), JSON.stringify(index));
    expect(() => loadWeights(folder)).toThrow(message);
  });
});
