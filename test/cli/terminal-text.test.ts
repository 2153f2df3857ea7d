import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import fc from 'fast-check';
import pc from 'picocolors';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { writeServed } from '../../src/cli/addresses.ts';
import { status } from '../../src/cli/commands/status.ts';
import { print, printJson, tell } from '../../src/cli/context.ts';
import { describeRecord } from '../../src/cli/live/describe.ts';
import { ProgressDisplay } from '../../src/cli/live/progress-display.ts';
import type { Summary } from '../../src/cli/records.ts';
import { reportLines } from '../../src/cli/report/report-terminal.ts';
import { coloured, escaped, json, plain, sanitized } from '../../src/cli/terminal-text.ts';

let out = '';
beforeEach(() => {
  out = '';
  const write = (text: string | Uint8Array): boolean => {
    out += String(text);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(write);
  vi.spyOn(process.stderr, 'write').mockImplementation(write);
});
afterEach(() => vi.restoreAllMocks());

/** As `od -c` would show it: every character that is no letter for a terminal, but newlines and tabs. */
const obeyed = (text: string): readonly string[] =>
  [...text]
    .filter((letter) => {
      const code = letter.codePointAt(0)!;
      const isControl = code < 0x20 || (code >= 0x7f && code < 0xa0);
      const turns = [0x61c, 0x200e, 0x200f, 0x2028, 0x2029].includes(code);
      const isBidi = turns || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
      return (isControl && letter !== '\n' && letter !== '\t') || isBidi;
    })
    .map((letter) => letter.codePointAt(0)!.toString(16));
const EVIL = '\u001b[2J\u001b[H\u001b]0;x\u0007\u009b31m\u202eevil\u2028\r\b\u007f\u001b[8m';
const hostile = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constant(EVIL))).map((parts) => parts.join(''));

describe('what reaches a terminal', () => {
  it.each([
    ['print', print],
    ['tell', tell],
    ['printJson', printJson],
    ['a notice of the live display', (text: string) => painterOf().say(text)],
  ])('by %s holds nothing that one obeys', (_, say) => {
    fc.assert(
      fc.property(hostile, (text) => {
        out = '';
        say(text);
        expect(obeyed(out)).toEqual([]);
      }),
    );
    out = '';
    say(EVIL);
    expect(obeyed(out)).toEqual([]);
  });

  it('keeps our colours by print, and no others', () => {
    const { bold, dim, green, red, yellow } = pc.createColors(true);
    for (const colour of [bold, dim, green, red, yellow]) expect(coloured(colour('a'))).toBe(colour('a'));
    expect(coloured(bold(`a ${dim('b')} c`))).toBe(bold(`a ${dim('b')} c`));
    // Hidden, black, a cursor, a title.
    for (const other of ['\u001b[8m', '\u001b[30m', '\u001b[2J', '\u001b]0;x\u0007'])
      expect(obeyed(coloured(other))).toEqual([]);
  });

  it('as JSON means what it meant', () => {
    fc.assert(
      fc.property(fc.anything({ withObjectString: true, key: hostile }), hostile, (value, text) => {
        const whole = { value: JSON.parse(JSON.stringify(value ?? null)) as unknown, text };
        expect(JSON.parse(json(whole))).toEqual(JSON.parse(JSON.stringify(whole)));
        expect(obeyed(escaped(JSON.stringify(text)))).toEqual([]);
      }),
    );
  });

  it('of what others say is one line, and not longer than it may be', () => {
    expect(sanitized('a\nb\tc')).toBe('a b c');
    expect(sanitized('long'.repeat(1e6))).toHaveLength(1_000);
    expect(sanitized('abcdef', 4)).toBe('abc…');
    expect(sanitized('abcd', 4)).toBe('abcd');
    expect(obeyed(sanitized(EVIL))).toEqual([]);
    expect(plain('lines\nstay\tso')).toBe('lines\nstay\tso');
  });
});

const painterOf = (): ProgressDisplay =>
  new ProgressDisplay(
    new Writable({
      write: (text, _, done) => {
        out += String(text);
        done();
      },
    }) as NodeJS.WriteStream,
    1,
    'tokens',
    {},
  );

it('a report of a run that another host has exported colours nothing but its own', () => {
  const summary = {
    name: EVIL,
    status: 'finished',
    validationLoss: { before: 1, after: 1 },
    islandDetails: [],
    bytesPerIsland: 1,
    bytesPerIslandDataParallel: 1,
    islands: 1,
    parameters: 1,
    steps: 1,
    tokens: 1,
    wallS: 1,
    skippedSteps: 0,
    computeShare: 1,
    computeS: 1,
    waitS: 1,
    exchangeS: 1,
    evaluateS: 1,
    energyMethod: `${EVIL}\u001b[31m`,
    samples: { before: EVIL, after: `${EVIL}\u001b[1m` },
    energyWh: 1,
    gCO2e: 1,
    perplexity: null,
    accuracy: null,
    lowestLoss: null,
  } as unknown as Summary;
  for (const line of reportLines(summary, 'runs/a', false)) expect(obeyed(line)).toEqual([]);
});

it('what an island says is one line of a log, and no longer than a screen', () => {
  const sentence = describeRecord({ kind: 'island', island: 'a', status: 'gone', reason: EVIL.repeat(1_000), atS: 0 })!;
  expect(obeyed(sentence)).toEqual([]);
  expect(sentence).toHaveLength(1_000);
});

it('`status` shows what an island says of itself short, without what a terminal obeys', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'helio-status-'));
  const standing = {
    state: `away${EVIL}`,
    reason: 'policy',
    next: { what: `${EVIL}${'on and on '.repeat(200)}`, atS: null },
    fix: null,
  };
  const island = { island: 'attic', status: 'gone', step: 3, tokens: 5, offences: 0, standing };
  const answers: Record<string, unknown> = {
    '/v1/status': {
      phase: 'training',
      runStep: 1,
      steps: 2,
      merges: 0,
      mergedTokens: 0,
      validationLoss: null,
      checkpoint: null,
      checkpointMissing: [],
      islands: [island],
    },
    '/v1/join-requests': [{ island: 'cellar', key: 'k'.repeat(43), address: '::1' }],
  };
  const server = createServer((request, response) => response.end(JSON.stringify(answers[request.url!])));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const run = path.join(folder, 'a');
    mkdirSync(run);
    writeFileSync(path.join(run, 'run.yaml'), 'data: ./texts/*.txt\n');
    writeFileSync(path.join(run, 'run.admin'), 'token');
    writeServed(run, {
      run: 'a',
      addresses: [],
      fingerprint: null,
      secure: false,
      listens: { host: '127.0.0.1', port },
    });
    await status('a', { json: false, runs: folder, environment: {} });
    expect(obeyed(out)).toEqual([]);
    expect(out).toContain('policy: ');
    for (const line of out.split('\n')) expect(line.length).toBeLessThan(260);
    out = '';
    await status('a', { json: true, runs: folder, environment: {} });
    expect(obeyed(out)).toEqual([]);
  } finally {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
