import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { bytes, compact, duration, gramsCO2e, percent, watthours } from '../../src/cli/live/format.ts';
import { emptyView, etaS, fold, shareDone } from '../../src/cli/live/view.ts';
import { buildProgram } from '../../src/cli/program.ts';
import type { LiveRecord } from '../../src/cli/records.ts';
import { lineChart } from '../../src/cli/report/chart.ts';
import { parseRunFile, resolveJob } from '../../src/cli/run-file.ts';
import { ERROR_CODES } from '../../src/errors.ts';
import { jobSchema } from '../../src/protocol/run-file.ts';
import { editDistance } from '../../src/yaml-document.ts';

describe('run file', () => {
  it('needs one line, and makes every other choice', () => {
    const job = resolveJob(parseRunFile('data: texts/*.txt', 'my.yaml'), 'my');
    expect(job).toMatchObject({
      name: 'my',
      islands: 4,
      inner: { optimizer: 'muon', rate: 0.03, adamRate: 0.024, muonMomentum: 0.8 },
      outer: { strategy: 'auto', quorum: 'all' },
    });
    expect(job.data).toEqual({ paths: ['texts/*.txt'], heldOut: 0.1, packing: true });
  });

  it.each([
    [100, 0.03],
    [1600, 0.015],
    [1_000_000, 0.004],
  ])('takes a lower rate for a longer run: %s steps at %s', (steps, rate) => {
    const { inner } = resolveJob(parseRunFile(`data: a\nstop: { steps: ${steps} }`, 'f'), 'f');
    expect(inner.rate).toBe(rate);
    expect(inner.adamRate).toBeCloseTo(0.8 * rate, 12);
  });

  it.each([
    ['muon', '', 0.002],
    ['adamw', '', 0.0005],
    ['muon', ', lora: { rank: 4 }', 0.005],
    ['adamw', ', lora: { rank: 4 }', 0.002],
  ])('takes a rate for a base that it does not unlearn: %s%s', (optimizer, lora, rate) => {
    const file = `data: a\nmodel: { base: b${lora} }\ninner: { optimizer: ${optimizer} }`;
    expect(resolveJob(parseRunFile(file, 'f'), 'f').inner.rate).toBe(rate);
    expect(resolveJob(parseRunFile(file.replace(' }\ninner: {', ' }\ninner: { rate: 0.5,'), 'f'), 'f').inner.rate).toBe(
      0.5,
    );
  });

  it('lets the file override what the strategy says', () => {
    const job = resolveJob(parseRunFile('data: a\nouter: { strategy: fedavg, innerSteps: 7 }', 'f'), 'f');
    expect(job.outer).toMatchObject({ rate: 1, momentum: 0, innerSteps: 7 });
  });

  it('is the same after it was resolved, written and read again', () => {
    const job = resolveJob(
      parseRunFile('data: { paths: [a, b], heldOut: 0.2 }\ntokenizer: { path: t.json }', 'f'),
      'f',
    );
    expect(jobSchema.parse(JSON.parse(JSON.stringify(job)))).toEqual(job);
  });

  it.each(['minimal', 'quickstart', 'quickstart-alone', 'quickstart-synchronous'])('example %s is valid', (name) => {
    const file = path.resolve(import.meta.dirname, `../../examples/${name}.yaml`);
    expect(resolveJob(parseRunFile(readFileSync(file, 'utf8'), file), name).name).toBe(name);
  });

  it('knows how far two words are apart', () => {
    expect([editDistance('inerSteps', 'innerSteps'), editDistance('', 'abc'), editDistance('same', 'same')]).toEqual([
      1, 3, 0,
    ]);
  });
});

describe('the command', () => {
  const program = buildProgram(() => {});

  it('has help with an example for every command, and --json', () => {
    for (const command of program.commands) {
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      expect([command.name(), help]).toEqual([
        command.name(),
        expect.stringMatching(/--json[\s\S]*Examples:\n {2}heliotrope /),
      ]);
    }
  });
});

describe('errors', () => {
  it('are all in docs/errors.md, with the exit status that they lead to', () => {
    const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/errors.md'), 'utf8');
    const documented = [...page.matchAll(/\| (HELIO-\d+) \| (\d) \|/g)].map(([, code, status]) => [
      code,
      Number(status),
    ]);
    expect(documented).toEqual(Object.entries(ERROR_CODES));
  });
});

describe('live view', () => {
  const progress = (island: string, step: number, atS: number): LiveRecord => ({
    kind: 'progress',
    island,
    atS,
    sentBytes: 1000,
    progress: {
      step,
      tokens: 0,
      loss: 3,
      gradNorm: 1,
      skippedSteps: 0,
      tokensPerS: 500,
      computeS: 0,
      waitS: 0,
      exchangeS: 0,
      evaluateS: 0,
      cpuS: 0,
      peakMemoryBytes: 0,
    },
  });
  const records: readonly LiveRecord[] = [
    { kind: 'island', island: 'a', status: 'training', reason: 'ready', atS: 1 },
    { kind: 'island', island: 'b', status: 'training', reason: 'ready', atS: 1 },
    { kind: 'phase', phase: 'training', reason: 'go', atS: 10 },
    progress('a', 20, 19),
    progress('b', 30, 20),
  ];

  it('reckons the time to go from the pace of the islands that train', () => {
    const view = records.reduce(fold, emptyView(100));
    expect(shareDone(view)).toBe(0.25);
    expect(etaS(view)).toBe(30);
    const without = fold(view, { kind: 'island', island: 'a', status: 'gone', reason: 'crashed', atS: 21 });
    expect(shareDone(without)).toBe(0.3);
  });

  it('promises nothing before training began', () => {
    expect(etaS(emptyView(100))).toBeUndefined();
  });
});

describe('numbers for people', () => {
  it('are short and carry units', () => {
    expect([bytes(999), bytes(1000), bytes(123_456_789), bytes(999_600)]).toEqual([
      '999 B',
      '1.00 kB',
      '123 MB',
      '1.00 MB',
    ]);
    expect([duration(3.21), duration(75), duration(150), duration(7_300)]).toEqual([
      '3.2 s',
      '75 s',
      '2 min 30 s',
      '2 h 02 min',
    ]);
    expect([compact(1_139_072), compact(999), percent(0.5), percent(0.999)]).toEqual([
      '1.14 M',
      '999',
      '50 %',
      '99.9 %',
    ]);
  });
});

describe('chart', () => {
  it('draws every series inside the frame, and escapes names', () => {
    const svg = lineChart(
      [
        {
          name: 'a<b',
          color: '#000',
          points: [
            [0, 5],
            [10, 1],
            [20, 3],
          ],
          dots: true,
        },
      ],
      { title: 't', xLabel: 'x', yLabel: 'y', width: 400, height: 200 },
    );
    expect(svg).toContain('a&lt;b');
    const numbers = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
    expect(numbers).toHaveLength(3);
    for (const [x, y] of numbers) {
      expect(x).toBeGreaterThanOrEqual(58);
      expect(x).toBeLessThanOrEqual(384);
      expect(y).toBeGreaterThanOrEqual(34);
      expect(y).toBeLessThanOrEqual(156);
    }
  });
});

it.each([
  [0, '0 Wh', '0 gCO2e'],
  [0.51234, '0.512 Wh', '0.512 gCO2e'],
  [999.4, '999 Wh', '999 gCO2e'],
  [999.6, '1 kWh', '1 kgCO2e'],
  [126_730, '127 kWh', '127 kgCO2e'],
  [-3_510, '-3.51 kWh', '-3.51 kgCO2e'],
  [4e9, '4 GWh', '4000 tCO2e'],
])('energy and carbon are told in a unit that can be read: %s', (value, wh, g) => {
  expect([watthours(value), gramsCO2e(value)]).toEqual([wh, g]);
});
