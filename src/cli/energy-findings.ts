import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { MACHINE, type Outcome, openNamedMeter, raplFinding, type Settings } from '../energy/meters/index.ts';
import { metersOf } from '../energy/site/meters-of.ts';
import type { Site } from '../energy/site/site-schema.ts';
import { Evcc } from '../energy/sources/evcc.ts';
import { GridOperator } from '../energy/sources/grid-operator.ts';
import type { SourceDeps } from '../energy/sources/index.ts';
import { HelioError } from '../errors.ts';
import type { Finding } from './finding.ts';
import { readSiteFile } from './site-file.ts';
import { sanitized } from './terminal-text.ts';

/** What a home has for its energy, as `heliotrope doctor` says it: clock, counters of the processor, site file, and every device and service that the site names. */
export async function energyFindings(options: {
  /** The site file; one that is not there is no fault. */
  readonly siteFile: string;
  readonly nowMs: number;
  /** Of this software: a clock that is before it is wrong. */
  readonly builtMs: number;
  readonly environment: NodeJS.ProcessEnv;
  /** Where /sys is. */
  readonly root?: string;
}): Promise<readonly Finding[]> {
  const { siteFile } = options;
  const site = siteOf(siteFile);
  const rapl = raplFinding(options.root ?? '/');
  return [
    await clock(options.nowMs, options.builtMs),
    // Without a home its power counts for nobody: then it is advice.
    {
      name: 'Processor’s power',
      ok: rapl.fix === undefined || site === undefined,
      found: rapl.found,
      ...(rapl.fix === undefined ? {} : { fix: rapl.fix }),
    },
    ...(site === undefined ? [] : site.findings),
    ...(site?.site === undefined ? [] : await devices(site.site, options.environment)),
  ];
}

function siteOf(file: string): { readonly site?: Site; readonly findings: readonly Finding[] } | undefined {
  if (!existsSync(file)) return undefined;
  try {
    const site = readSiteFile(file);
    return { site, findings: [{ name: 'Site file', ok: true, found: `${file}, mode ${site.policy.mode}` }] };
  } catch (error) {
    return { findings: [failed('Site file', error)] };
  }
}

/** Quiet hours, tariffs and events go by the clock. */
async function clock(nowMs: number, builtMs: number): Promise<Finding> {
  const name = 'Clock';
  const found = new Date(nowMs).toISOString();
  const fix = 'Set it by the network: sudo timedatectl set-ntp true';
  if (nowMs < builtMs - DAY_MS) return { name, ok: false, found: `${found}: before this software was written`, fix };
  const synchronized = await isSynchronized();
  if (synchronized === undefined) return { name, ok: true, found };
  return synchronized
    ? { name, ok: true, found: `${found}, set by the network` }
    : { name, ok: true, found: `${found}, not set by the network`, fix };
}

const DAY_MS = 86_400_000;

/** What systemd says; undefined where there is none. */
const isSynchronized = (): Promise<boolean | undefined> =>
  new Promise((resolve) => {
    execFile('timedatectl', ['show', '--property=NTPSynchronized', '--value'], { timeout: 3_000 }, (error, stdout) => {
      const word = stdout.trim();
      resolve(error !== null || (word !== 'yes' && word !== 'no') ? undefined : word === 'yes');
    });
  });

async function devices(site: Site, environment: NodeJS.ProcessEnv): Promise<readonly Finding[]> {
  const said: string[] = [];
  const deps: SourceDeps = {
    nowMs: Date.now,
    random: Math.random,
    env: environment,
    say: (sentence) => said.push(sentence),
  };
  const meters = metersOf(site).map(meterFinding);
  const { evcc, gridOperator } = site;
  const cars = async (): Promise<Finding> => {
    const asked = new Evcc(evcc!, deps);
    await asked.poll();
    const state = asked.state(Date.now());
    const waiting = (state?.vehicles ?? []).map(({ name }) => name).join(', ');
    return state === undefined
      ? { name: 'evcc', ok: false, found: sanitized(asked.problem ?? 'nothing', 300) }
      : {
          name: 'evcc',
          ok: true,
          found: waiting === '' ? 'no car waits for sun' : `${sanitized(waiting)} would take more sun`,
        };
  };
  const operator = async (): Promise<Finding> => {
    const name = 'Grid operator';
    try {
      const asked = new GridOperator(gridOperator!, deps);
      await asked.poll();
      const { isHeard, problem } = asked.standing;
      return {
        name,
        ok: isHeard,
        found: isHeard ? `program ${gridOperator!.program} is heard` : sanitized(problem ?? '', 300),
      };
    } catch (error) {
      return failed(name, error);
    }
  };
  return Promise.all([
    ...meters,
    ...(evcc === undefined ? [] : [cars()]),
    ...(gridOperator === undefined ? [] : [operator()]),
  ]);
}

async function meterFinding({ template, ...settings }: Site['meters'][number]): Promise<Finding> {
  const name = `Meter ${path.basename(template)}`;
  try {
    const meter = await openNamedMeter(template, settings as Settings);
    try {
      return ofOutcomes(name, template, await meter.read());
    } finally {
      await meter.close();
    }
  } catch (error) {
    return failed(name, error);
  }
}

function ofOutcomes(name: string, template: string, outcomes: readonly Outcome[]): Finding {
  const values = outcomes.flatMap((each) =>
    each.ok ? [`${each.quantity} ${Math.round(each.reading.value)} ${each.reading.unit}`] : [],
  );
  const problem = outcomes.flatMap((each) => (each.ok ? [] : [each.problem]))[0];
  const found = values.join(', ');
  if (problem === undefined) return { name, ok: true, found };
  // A device without one of its parts, such as a battery, is well.
  if (values.length > 0 && template !== MACHINE)
    return { name, ok: true, found: `${found}; not: ${sanitized(problem.what, 200)}` };
  return {
    name,
    ok: values.length > 0,
    found: values.length > 0 ? found : sanitized(problem.what, 300),
    fix: problem.remedy,
  };
}

const failed = (name: string, error: unknown): Finding => {
  if (!(error instanceof HelioError)) throw error;
  return { name, ok: false, found: sanitized(error.what, 300), fix: error.remedy };
};
