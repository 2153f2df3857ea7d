import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import * as tar from 'tar';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/**
 * `heliotrope/sun` as another project has it: built and packed into a tarball, unpacked where npm would put it, with none of its dependencies
 * beside it.
 */
describe('the packed package', () => {
  const root = path.resolve(import.meta.dirname, '../../..');
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'heliotrope-sun-')));
  const consumer = path.join(folder, 'consumer');
  const installed = path.join(consumer, 'node_modules/heliotrope');
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc');

  beforeAll(async () => {
    const copy = path.join(folder, 'copy');
    for (const part of ['package.json', 'bin', 'src', 'schema', 'LICENSE'])
      cpSync(path.join(root, part), path.join(copy, part), { recursive: true });
    execFileSync(process.execPath, [
      tsc,
      '--project',
      path.join(root, 'tsconfig.build.json'),
      '--outDir',
      path.join(copy, 'dist'),
    ]);
    execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: copy });
    mkdirSync(installed, { recursive: true });
    const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz'))!;
    await tar.extract({ file: path.join(folder, tarball), cwd: installed, strip: 1 });
    writeFileSync(path.join(consumer, 'package.json'), '{ "name": "consumer", "type": "module" }');
    writeFileSync(
      path.join(consumer, 'index.ts'),
      `import { clearSkyWeather, pvPower, type Place, type SolarSystem } from 'heliotrope/sun';
const place: Place = { latitudeDeg: 48, longitudeDeg: 7.85, altitudeM: 278 };
const system: SolarSystem = {
  arrays: [{ peakW: 8000, tiltDeg: 35, azimuthDeg: 180, mounting: 'roof' }],
  inverterW: 7000,
};
const atMs = Date.UTC(2026, 5, 21, 11, 30);
const acW: number = pvPower(place, system, atMs, clearSkyWeather(place, atMs, 22, 2, 1)).acW;
console.log(JSON.stringify({ acW }));
`,
    );
  });

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const check = (): string => {
    const strict = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--skipLibCheck', 'false'];
    try {
      return execFileSync(process.execPath, [tsc, ...strict, 'index.ts'], { cwd: consumer, encoding: 'utf8' });
    } catch (error) {
      return (error as { stdout: string }).stdout;
    }
  };

  it('has types, which need nothing else', () => {
    expect(check()).toBe('');
    const source = path.join(consumer, 'index.ts');
    cpSync(source, `${source}.whole`);
    writeFileSync(source, "import { pvPower } from 'heliotrope/sun';\nexport const wrong: string = pvPower;\n");
    expect(check()).toContain('TS2322');
    cpSync(`${source}.whole`, source);
  });

  it('computes, and loads no other room and no dependency', () => {
    const script = [
      `import { registerHooks } from 'node:module';`,
      'const loaded = [];',
      'registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });',
      `await import(${JSON.stringify(pathToFileURL(path.join(consumer, 'index.ts')).href)});`,
      'console.log(JSON.stringify(loaded));',
    ].join('\n');
    const run = path.join(consumer, 'run.mjs');
    writeFileSync(run, script);
    const [power, loaded] = execFileSync(process.execPath, [run], { cwd: consumer, encoding: 'utf8' })
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(power.acW).toBeGreaterThan(5000);
    const files = (loaded as string[]).map((url) =>
      path.relative(pathToFileURL(installed).pathname, new URL(url).pathname),
    );
    expect(files).toContain('dist/energy/sun/index.js');
    expect(files.filter((file) => !/^dist\/(energy\/sun\/[\w-]+|errors)\.js$/.test(file))).toEqual(['../../index.ts']);
  });

  it('still lets its command and its files be reached', () => {
    const found = execFileSync(
      process.execPath,
      [
        '--print',
        "const r = require('node:module').createRequire(process.cwd() + '/x.js'); [r.resolve('heliotrope/package.json'), r.resolve('heliotrope/dist/errors.js'), r.resolve('heliotrope/bin/heliotrope.mjs')].join('\\n')",
      ],
      { cwd: consumer, encoding: 'utf8' },
    );
    expect(
      found
        .trim()
        .split('\n')
        .map((file) => path.relative(installed, file)),
    ).toEqual(['package.json', 'dist/errors.js', 'bin/heliotrope.mjs']);
  });
});
