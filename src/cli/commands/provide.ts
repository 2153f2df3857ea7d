import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline/promises';
import { openNamedMeter, type Quantity, type Settings } from '../../energy/meters/index.ts';
import { metersOf } from '../../energy/site/meters-of.ts';
import { sanityFindings } from '../../energy/site/sanity.ts';
import { parseSite } from '../../energy/site/site-file.ts';
import type { Site } from '../../energy/site/site-schema.ts';
import { sunPosition } from '../../energy/sun/index.ts';
import { HelioError } from '../../errors.ts';
import { makeFolder, writeWhole } from '../../files.ts';
import { stateFolder } from '../../island/node/state-folder.ts';
import { readLink } from '../../protocol/invitation.ts';
import { type CommandContext, colorful, ENTRY, print, printJson, tell } from '../context.ts';
import { readStanding } from '../home-standing.ts';
import { count, watthours } from '../live/format.ts';
import { dayChart } from '../provide/chart.ts';
import { evccAt } from '../provide/evcc-address.ts';
import { forgetIsland, type Remaining } from '../provide/forget-island.ts';
import { parseMode, withMode } from '../provide/mode.ts';
import { type Ask, askAll, type Flags, type Metered } from '../provide/questions.ts';
import { assumedCloudFactor, type Rehearsal, rehearse, SLOT_MS } from '../provide/rehearsal.ts';
import { type Service, serviceFor } from '../provide/service.ts';
import { siteText } from '../provide/site-text.ts';
import { readSiteFile } from '../site-file.ts';
import { sanitized } from '../terminal-text.ts';
import { siteFolder } from './owner.ts';

export interface ProvideOptions extends Flags {
  readonly yes?: boolean;
  readonly force?: boolean;
  readonly meter?: readonly string[];
  readonly homeAssistant?: string;
  readonly evcc?: string;
  readonly tokenFile?: string;
  readonly install?: boolean;
  readonly uninstall?: boolean;
  readonly keepKey?: boolean;
}

const DAY_MS = 24 * 3_600_000;

/** Sets a home up: asks, writes site.yaml, shows what it would have done, and what today and tomorrow bring. */
export async function provide(
  link: string | undefined,
  options: ProvideOptions,
  context: CommandContext,
): Promise<number> {
  const folder = siteFolder(context.environment);
  const file = path.join(folder, 'site.yaml');
  if (options.uninstall === true) return uninstall(folder, options, context);
  // A link that is none is told before anything is asked.
  if (link !== undefined) readLink(link);
  const isNew = !existsSync(file) || options.force === true;
  const changes = Object.keys(options).some((key) => !['install', 'json', 'force', 'yes', 'mode'].includes(key));
  if (!isNew && changes)
    throw new HelioError(
      'HELIO-1006',
      `${file} is there already.`,
      'Change it with an editor; or begin anew with --force: the old one is kept as site.yaml.1.',
    );
  if (isNew) await setUp(file, options, context);
  else if (options.mode !== undefined) changeMode(file, options.mode, context);
  const site = readSiteFile(file);
  const shown = show(site, folder, file, context);
  await lookAtMeters(site);
  if (options.install === true) install(link ?? context.environment.HELIOTROPE_INVITATION, site, file, folder, context);
  else if (!context.json)
    print(
      `\nStart it: heliotrope join ${link === undefined ? 'LINK' : `'${link}'`} --site ${file}\nOr as a service that starts with this machine: heliotrope provide LINK --install`,
    );
  if (context.json) printJson(shown);
  return 0;
}

/** Of a home that is set up; its owner's file stays as it is otherwise, and an island that runs by it follows at once. */
function changeMode(file: string, text: string, { json }: CommandContext): void {
  const mode = parseMode('--mode', text);
  readSiteFile(file);
  const source = readFileSync(file, 'utf8');
  const changed = withMode(source, mode);
  if (changed === source) return;
  // A mode that the site has nothing for is told before anything is written.
  parseSite(changed, file);
  writeWhole(file, changed);
  if (!json) print(`Its mode is ${mode} now. An island that runs by ${file} follows at once.`);
}

async function setUp(file: string, options: ProvideOptions, { json }: CommandContext): Promise<void> {
  const isTerminal = process.stdin.isTTY === true && process.stderr.isTTY === true && options.yes !== true && !json;
  const lines = isTerminal ? createInterface({ input: process.stdin, output: process.stderr }) : undefined;
  const ask: Ask | undefined =
    lines === undefined
      ? undefined
      : (question, usual) => lines.question(`${question}${usual === '' ? '' : ` [${usual}]`}: `);
  try {
    const meters = [...homeAssistantOf(options), ...(options.meter ?? []).map(meterOf)];
    const evcc = options.evcc === undefined ? undefined : evccAt(options.evcc);
    const told = evcc === undefined ? meters : [...meters, { template: 'evcc', ...evcc }];
    const answers = await askAll(options, ask, await meteredBy(told));
    makeFolder(path.dirname(file));
    if (existsSync(file)) copyFileSync(file, `${file}.1`);
    writeWhole(file, siteText(answers, meters, evcc));
    // What was written is read as every other site file.
    readSiteFile(file);
    tell(`Written: ${file}`);
  } finally {
    lines?.close();
  }
}

function homeAssistantOf({ homeAssistant, tokenFile }: ProvideOptions): readonly Readonly<Record<string, unknown>>[] {
  if (homeAssistant === undefined) return [];
  let url: URL;
  try {
    url = new URL(homeAssistant.includes('://') ? homeAssistant : `http://${homeAssistant}`);
  } catch {
    throw new HelioError(
      'HELIO-1006',
      `--home-assistant ${homeAssistant} is no address.`,
      'Give it like http://homeassistant.local:8123.',
    );
  }
  if (tokenFile === undefined)
    throw new HelioError(
      'HELIO-1006',
      'Home Assistant needs a long-lived access token.',
      'Make one in your profile there, save it in a file, and give --token-file FILE.',
    );
  return [
    {
      template: 'home-assistant',
      host: url.hostname,
      ...(url.port === '' ? {} : { port: Number(url.port) }),
      token: `@${path.resolve(tokenFile)}`,
    },
  ];
}

/** `shelly-pro-3em,host=192.168.1.20`. */
function meterOf(text: string): Readonly<Record<string, unknown>> {
  const [template, ...settings] = text.split(',');
  return {
    template,
    ...Object.fromEntries(
      settings.map((setting) => {
        const at = setting.indexOf('=');
        if (at < 1)
          throw new HelioError(
            'HELIO-1006',
            `--meter ${text} cannot be read.`,
            'Give it like shelly-pro-3em,host=192.168.1.20.',
          );
        const value = setting.slice(at + 1);
        return [setting.slice(0, at), /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value];
      }),
    ),
  };
}

function show(site: Site, folder: string, file: string, context: CommandContext) {
  const nowMs = Date.now();
  const last = rehearse(site, nowMs - DAY_MS, nowMs);
  const midnight = startOfDay(nowMs, site.location.timeZone);
  const days = [0, 1].map((day) => rehearse(site, midnight + day * DAY_MS, midnight + (day + 1) * DAY_MS));
  const standing = readStanding(folder);
  if (!context.json) {
    print(`\nThe last 24 hours, as it would have lived them: ${sentenceOf(last)}.`);
    for (const [i, { slots }] of days.entries()) {
      print('');
      for (const line of dayChart(
        i === 0 ? 'today' : 'tomorrow',
        slots,
        site.location.timeZone,
        nowMs,
        colorful(context.environment),
      ))
        print(line);
    }
    print(
      `\nBy sun and an average household, with ${Math.round(100 * assumedCloudFactor(site))} % of a clear sky (assumed${site.weather.kind === 'clear-sky' ? '' : ': its weather service cannot be asked of the past'}); who uses the machine is not foreseen.`,
    );
  }
  return {
    site: file,
    standing: standing ?? null,
    last24Hours: brief(last),
    today: brief(days[0]!),
    tomorrow: brief(days[1]!),
  };
}

const brief = ({ slots, trainedHours, starts, computeWh }: Rehearsal) => ({
  trainedHours,
  starts,
  computeWh,
  hours: slots.map(({ fromMs, pvW, trains }) => ({ at: new Date(fromMs).toISOString(), pvW: Math.round(pvW), trains })),
});

function sentenceOf({ trainedHours, starts, computeWh: { pv, battery, grid } }: Rehearsal): string {
  if (trainedHours === 0) return 'it would not have trained';
  const parts = [
    `${watthours(pv)} of its sun`,
    battery > 0 ? `${watthours(battery)} of the battery` : '',
    grid > 0 ? `${watthours(grid)} of the grid` : '',
  ];
  return `${trainedHours.toFixed(1)} h of training with ${parts.filter((part) => part !== '').join(', ')}, ${starts} start${starts === 1 ? '' : 's'}`;
}

/** Midnight at the site, to the half hour: on the day on which clocks change it is one hour off, and the chart as well. */
function startOfDay(nowMs: number, timeZone: string): number {
  const [hour, minute] = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  })
    .format(nowMs)
    .split(':')
    .map(Number);
  const slot = Math.floor(nowMs / SLOT_MS) * SLOT_MS;
  return slot - Math.floor((60 * hour! + minute!) / 30) * SLOT_MS;
}

/** What the devices tell that are there now: then nobody is asked for it. */
async function meteredBy(meters: readonly Readonly<Record<string, unknown>>[]): Promise<Metered> {
  const told = new Set<Quantity>();
  for (const { template, ...settings } of meters) {
    const meter = await openNamedMeter(String(template), settings as Settings);
    try {
      for (const outcome of await meter.read()) if (outcome.ok) told.add(outcome.quantity);
    } finally {
      await meter.close();
    }
  }
  return { power: told.has('grid-power') || told.has('pv-power'), battery: told.has('battery-charge') };
}

/** Reads each meter once, and says what cannot be: while somebody is there who can change it. */
async function lookAtMeters(site: Site): Promise<void> {
  const readings: Partial<Record<Quantity, number>> = {};
  for (const { template, ...settings } of metersOf(site)) {
    const meter = await openNamedMeter(template, settings as Settings);
    try {
      for (const outcome of await meter.read()) {
        if (outcome.ok) {
          readings[outcome.quantity] = outcome.reading.value;
          tell(`${template}: ${outcome.quantity} ${outcome.reading.value.toFixed(0)} ${outcome.reading.unit}`);
        } else tell(`${template}: ${outcome.quantity}: ${sanitized(outcome.problem.message)}`);
      }
      for (const note of meter.notes) tell(`${template}: ${sanitized(note)}`);
    } finally {
      await meter.close();
    }
  }
  if (metersOf(site).length === 0) return;
  const peakW = (site.solar?.arrays ?? []).reduce((sum, array) => sum + array.peakW, 0);
  const findings = sanityFindings({
    readings,
    sunElevationDeg: 90 - sunPosition(site.location, Date.now()).apparentZenithDeg,
    ...(peakW === 0 ? {} : { peakW }),
    averageLoadW: site.household.averageW,
  });
  for (const { what, remedy } of findings) tell(`Look at this: ${what} ${remedy}`);
  if (findings.length === 0) tell('What the meters say fits together.');
}

function serviceOf(name: string, file: string, folder: string, link: string): Service {
  const service = serviceFor({
    platform: process.platform,
    program: [process.execPath, '--disable-warning=ExperimentalWarning', ENTRY],
    name,
    siteFile: file,
    folder,
    link,
  });
  if (service === undefined)
    throw new HelioError(
      'HELIO-1006',
      `There is no service for ${process.platform} here.`,
      'Start `heliotrope join LINK --site FILE` by your own means.',
    );
  return service;
}

function install(link: string | undefined, site: Site, file: string, folder: string, { json }: CommandContext): void {
  if (link === undefined)
    throw new HelioError(
      'HELIO-1006',
      '--install needs the link of a run.',
      'Give it: heliotrope provide LINK --install.',
    );
  const service = serviceOf(site.name, file, folder, link);
  for (const { file: target, content, mode } of service.files) {
    makeFolder(path.dirname(target));
    writeWhole(target, content, mode);
    chmodSync(target, mode);
  }
  writeWhole(
    path.join(folder, 'service.json'),
    JSON.stringify({ files: service.files.map(({ file: target }) => target) }),
  );
  for (const [program, ...args] of service.install) runOrSay(program!, args);
  if (!json)
    print(`Installed as a service. What it says: ${service.logs}\nTake it away: heliotrope provide --uninstall`);
}

/** Every file that `provide` wrote, and the service. */
function uninstall(folder: string, { keepKey }: ProvideOptions, { json, environment }: CommandContext): number {
  const service = serviceOf('home', path.join(folder, 'site.yaml'), folder, 'none');
  const known = readInstalled(folder);
  if (known.length > 0) for (const [program, ...args] of service.uninstall) runOrSay(program!, args);
  for (const file of known) rmSync(file, { force: true });
  // Before its file is gone.
  const name = siteNameIn(folder);
  rmSync(folder, { recursive: true, force: true });
  const kept = keepKey === true ? undefined : forgetIsland(stateFolder(environment), name);
  if (json) printJson({ uninstalled: true, keyKept: kept?.isKeyKept ?? true, otherIslands: kept?.folders ?? null });
  else print(farewell(name, kept));
  return 0;
}

function farewell(name: string | undefined, kept: Remaining | undefined): string {
  if (kept === undefined) return 'Gone, but for the key of this machine and what its islands kept of their runs.';
  if (name === undefined)
    return 'Gone, but for the key of this machine: site.yaml cannot be read, so nobody knows which island was its.';
  if (kept.folders > 0)
    return `Gone, with all of the island ${name}. The key of this machine stays: other islands of it have ${count(kept.folders, 'run')}.`;
  return `Gone, without a trace. The island ${name} has no key any more: --keep-key keeps it.`;
}

/** What its site file says; undefined where there is none that can be read. */
function siteNameIn(folder: string): string | undefined {
  try {
    return readSiteFile(path.join(folder, 'site.yaml')).name;
  } catch {
    return undefined;
  }
}

function readInstalled(folder: string): readonly string[] {
  try {
    const { files } = JSON.parse(readFileSync(path.join(folder, 'service.json'), 'utf8')) as {
      readonly files?: unknown;
    };
    return Array.isArray(files) ? files.filter((file): file is string => typeof file === 'string') : [];
  } catch {
    return [];
  }
}

function runOrSay(program: string, args: readonly string[]): void {
  try {
    execFileSync(program, args, { stdio: 'pipe', timeout: 30_000 });
  } catch (error) {
    tell(
      `This did not work: ${program} ${args.join(' ')} (${sanitized(error instanceof Error ? error.message.split('\n')[0]! : String(error), 200)}). Do it by hand.`,
    );
  }
}
