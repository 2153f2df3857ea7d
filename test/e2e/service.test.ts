import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ROOT, scratch, tinyRun } from './command.ts';

/** The units, image and wrappers of deploy/ and bin/: what they promise is done here, without systemd and Docker. */

const UNITS = ['coordinator', 'island'].map((name) => `heliotrope-${name}.service`);
const unitText = (unit: string): string => readFileSync(path.join(ROOT, 'deploy', unit), 'utf8');
const has = (command: string, ...args: readonly string[]): boolean => spawnSync(command, args).status === 0;
/** Whatever runs the tests, and may not be in node_modules/node. */
const installedAt = (text: string): string =>
  text.replaceAll('/opt/heliotrope/node_modules/node/bin/node', process.execPath).replaceAll('/opt/heliotrope', ROOT);

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end();
});
const temporary = (): string => {
  const folder = scratch();
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

interface Service {
  readonly child: ChildProcess;
  said(text: string): Promise<void>;
  stderr(): string;
  /** Its status, or the signal that ended it. */
  readonly ended: Promise<number | string | null>;
}

/** In a process group of its own, as a service manager has it. */
function service(command: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Service {
  const [file, ...args] = command;
  const child = spawn(file!, args, { cwd, env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  ends.push(() => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // It has ended.
    }
  });
  const ended = new Promise<number | string | null>((resolve) =>
    child.once('close', (status, signal) => resolve(status ?? signal)),
  );
  const said = (text: string): Promise<void> =>
    expect.poll(() => stderr, { timeout: 60_000, interval: 100 }).toContain(text);
  return { child, ended, said, stderr: () => stderr };
}

const toGroup = ({ child }: Service, signal: NodeJS.Signals): boolean => process.kill(-child.pid!, signal);

describe.skipIf(!has('systemd-analyze', '--version'))('the units', () => {
  it.each(UNITS)('%s is one that systemd takes, and leaves little open', (unit) => {
    const file = path.join(temporary(), unit);
    writeFileSync(file, installedAt(unitText(unit)).replace(/^Documentation=.*\n/m, ''));
    const verified = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' });
    expect([verified.status, verified.stderr]).toEqual([0, '']);
    const { status, stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', file], {
      encoding: 'utf8',
    });
    expect([status, stdout.split('\n').at(-2)]).toEqual([0, expect.stringMatching(/exposure level/)]);
  });
});

describe('a service', { timeout: 180_000 }, () => {
  /** Somebody who is nobody, where this test may choose; he has to reach Node and the source. */
  const NOBODY = ['--reuid=10001', '--regid=10001', '--clear-groups', '--bounding-set=-all', '--inh-caps=-all'];
  const asNobody =
    process.getuid?.() === 0 && has('setpriv', ...NOBODY, '--no-new-privs', process.execPath, '--version')
      ? ['setpriv', ...NOBODY, '--no-new-privs']
      : [];

  it('by the command line of the unit ends at SIGTERM to its whole group with status 0, and goes on afterwards', async () => {
    const folder = temporary();
    const [etc, state] = ['etc', 'state'].map((name) => path.join(folder, name));
    mkdirSync(etc!);
    tinyRun(etc!, 'run', { islands: 1 });
    writeFileSync(path.join(etc!, 'serve.yaml'), 'port: 0\ntls: self-signed\n');
    // As StateDirectory makes it.
    mkdirSync(state!, { mode: 0o700 });
    chmodSync(folder, 0o755);
    if (asNobody.length > 0) chownSync(state!, 10_001, 10_001);
    const unit = installedAt(unitText(UNITS[0]!))
      .replaceAll('/etc/heliotrope', etc!)
      .replaceAll('%S/heliotrope', state!);
    const setting = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)![1]!;
    const env = Object.fromEntries(
      setting('Environment')
        .split(' ')
        .map((each) => each.split('=')),
    );
    const begin = (): Service =>
      service([...asNobody, ...setting('ExecStart').split(' ')], setting('WorkingDirectory'), env);
    for (let life = 0; life < 2; life++) {
      const serving = begin();
      await serving.said('"event":"serving"');
      const { listens } = JSON.parse(readFileSync(path.join(state!, 'runs/run/served.json'), 'utf8')) as {
        listens: { port: number };
      };
      const health = (port: number) =>
        spawnSync(process.execPath, [path.join(ROOT, 'deploy/health.mjs')], {
          env: { HELIOTROPE_PORT: String(port) },
          encoding: 'utf8',
        });
      const { status, stdout } = health(listens.port);
      expect([status, stdout]).toEqual([0, 'HTTP 200\n']);
      toGroup(serving, 'SIGTERM');
      expect([await serving.ended, serving.stderr()]).toEqual([0, expect.stringContaining('stopped; resume the run')]);
      expect(existsSync(path.join(state!, 'runs/run/run.lock'))).toBe(false);
      expect(health(listens.port).status).toBe(1);
    }
  });

  const stamp = path.join(ROOT, 'node_modules/.heliotrope-installed');
  const lock = createHash('sha256')
    .update(readFileSync(path.join(ROOT, 'package-lock.json')))
    .digest('hex');
  const bin = path.join(ROOT, 'bin/heliotrope.mjs');
  const wrapper = path.join(ROOT, 'scripts/with-node24.mjs');
  const ways: [string, string[], boolean][] = [
    ['bin/heliotrope.mjs', [bin], true],
    // It would install first where what is there is not its own.
    [
      'scripts/with-node24.mjs',
      [wrapper, path.join(ROOT, 'src/cli/main.ts')],
      existsSync(stamp) && readFileSync(stamp, 'utf8') === lock,
    ],
    ['a process that cannot be replaced', ['--import', 'data:text/javascript,process.execve=undefined', bin], true],
  ];
  it.each(ways)(
    'by %s ends with the status of the program, whoever the signal is sent to',
    async (_, way, possible) => {
      if (!possible) return;
      const folder = temporary();
      const file = tinyRun(folder, 'wrapped', { islands: 1 });
      const env = { ...process.env, HELIOTROPE_HOME: path.join(folder, 'home'), NO_COLOR: '1' };
      const serve = (): Service =>
        service([process.execPath, ...way, 'serve', file, '--continue', '--port', '0'], folder, env);
      const lockFile = path.join(folder, 'runs/wrapped/run.lock');
      const first = serve();
      await first.said('heliotrope join');
      toGroup(first, 'SIGTERM');
      expect([await first.ended, existsSync(lockFile)]).toEqual([0, false]);
      const second = serve();
      await second.said('heliotrope join');
      second.child.kill('SIGTERM');
      expect([await second.ended, existsSync(lockFile)]).toEqual([0, false]);
      const third = serve();
      await third.said('heliotrope join');
      toGroup(third, 'SIGINT');
      expect([await third.ended, existsSync(lockFile)]).toEqual([130, false]);
      const wrong = service([process.execPath, ...way, 'serve', 'nowhere.yaml'], folder, env);
      expect(await wrong.ended).toBe(2);
    },
  );
});

describe('the image', () => {
  const lines = readFileSync(path.join(ROOT, 'deploy/Dockerfile'), 'utf8').replaceAll('\\\n', '').split('\n');
  const all = (instruction: string): readonly string[] =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1));

  it('is nobody root in, and what it keeps belongs to its user', () => {
    expect(all('USER')).toEqual(['10001:10001']);
    expect(all('RUN').at(-1)).toMatch(
      /install --directory .*--owner 10001 --group 10001 .*\/data\/runs \/data\/state$/,
    );
    expect(JSON.parse(all('VOLUME')[0]!)).toEqual(['/data/runs', '/data/state']);
    expect(all('ENV')).toEqual(['HELIOTROPE_HOME=/data/state HELIOTROPE_RUNS=/data/runs']);
    // Volumes are copies of what is there when they are declared.
    const place = (text: string): number => lines.findIndex((line) => line.startsWith(text));
    expect(place('VOLUME')).toBeGreaterThan(place('USER'));
  });

  it('has Node as its first process, that is told to stop, and a check of its health', () => {
    expect((JSON.parse(all('ENTRYPOINT')[0]!) as string[])[0]).toBe('node');
    expect(all('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(all('HEALTHCHECK')[0]).toContain('/opt/heliotrope/deploy/health.mjs');
  });

  it('is run by compose as that user, without capabilities, on a disk that is only read', () => {
    const { services } = parse(readFileSync(path.join(ROOT, 'deploy/compose.yaml'), 'utf8'), { merge: true }) as {
      services: Record<string, Record<string, unknown>>;
    };
    for (const name of ['coordinator', 'island'])
      expect(services[name]).toMatchObject({
        user: '10001:10001',
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        mem_limit: expect.any(String),
      });
    expect(services.coordinator!.volumes).toEqual(expect.arrayContaining(['runs:/data/runs', 'host:/data/state']));
  });
});
