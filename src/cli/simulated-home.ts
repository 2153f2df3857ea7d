import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { IntervalRecorder, intervalLine, sourcesOf, storedAt } from '../energy/accounting/index.ts';
import { HelioError } from '../errors.ts';
import { writeWhole } from '../files.ts';
import type { EnergyBooks } from '../island/host.ts';
import { Governor } from '../island/owner/governor.ts';
import { type HomeSpan, SimulatedHome } from '../simulate/home.ts';
import { HomeRecorder } from '../simulate/home-records.ts';
import { type SiteClock, siteMs } from '../simulate/site-clock.ts';
import { surroundingsOf } from '../simulate/surroundings.ts';
import { readHomes } from './homes.ts';

/** How often a simulated home moves and decides, real time. */
const TICK_MS = 100;

/** What a home shows of itself, in `home.json`. */
export interface HomeNow {
  readonly atMs: number;
  readonly pvW: number;
  readonly batteryPercent: number | null;
  readonly powerW: number;
  readonly state: string;
  readonly reason: string;
  readonly what: string;
}

/**
 * An island's home that is simulated: its governor decides for a real island, on the homes' clock. Its day goes to `day.jsonl`, what it used and emitted to
 * `energy.jsonl`, and where it stands to `home.json`.
 */
export function openSimulatedHome(
  argument: string,
  clock: SiteClock,
  folder: string,
): { readonly governor: Governor; readonly books: EnergyBooks; close(): Promise<void> } {
  const at = argument.lastIndexOf('#');
  const [file, name] = [argument.slice(0, at), argument.slice(at + 1)];
  const site = readHomes(file).homes.find((home) => home.name === name);
  if (site === undefined) throw new HelioError('HELIO-1011', `${file} has no home ${name}.`, 'Check its name.');
  const startMs = siteMs(clock, Date.now());
  const around = surroundingsOf(site);
  const spans: HomeSpan[] = [];
  const without: HomeSpan[] = [];
  const home = new SimulatedHome(site, startMs, around, (span) => spans.push(span));
  // The same home in which nobody trains: what training costs is the difference.
  const shadow = new SimulatedHome(site, startMs, around, (span) => without.push(span));
  const recorder = new HomeRecorder((record) =>
    appendFileSync(path.join(folder, 'day.jsonl'), `${JSON.stringify(record)}\n`),
  );
  const books = new IntervalRecorder(
    home.battery,
    storedAt(home.energyWh, around.intensityGPerKWh(startMs)),
    (record) => appendFileSync(path.join(folder, 'energy.jsonl'), intervalLine(record)),
  );
  home.advance(startMs + 1, 0);
  shadow.advance(startMs + 1, 0);
  const governor = new Governor({
    view: home,
    policy: site.policy,
    timeZone: site.location.timeZone,
    nowMs: () => home.nowMs,
    speed: clock.speed,
  });
  /** Trained since the last stretch of time. */
  let tokens = 0;
  const tick = (): void => {
    const nowMs = siteMs(clock, Date.now());
    const { powerW, standing } = governor.decision;
    home.advance(nowMs, powerW);
    shadow.advance(nowMs, 0);
    governor.tick();
    const started = powerW === 0 && governor.decision.powerW > 0;
    for (const [i, span] of spans.entries()) {
      const { fromMs, toMs, flows: actual } = span;
      books.add(
        fromMs,
        toMs,
        { actual, shadow: without[i]!.flows, sources: sourcesOf(actual) },
        {
          part: 'island',
          name,
          tokens: i === spans.length - 1 ? tokens : 0,
          energyOrigin: SIMULATED,
          splitOrigin: SIMULATED,
          average: around.averageAt(fromMs),
        },
      );
      recorder.add(span, {
        batteryPercent: home.batteryPercent,
        intensityGPerKWh: around.intensityGPerKWh(fromMs),
        reason: powerW > 0 ? 'training' : standing.reason,
        started: started && i === 0,
      });
    }
    if (spans.length > 0) tokens = 0;
    spans.length = 0;
    without.length = 0;
    const now: HomeNow = {
      atMs: nowMs,
      pvW: home.powers.pvW,
      batteryPercent: home.batteryPercent ?? null,
      powerW: governor.decision.powerW,
      state: governor.decision.standing.state,
      reason: governor.decision.standing.reason,
      what: governor.decision.standing.next?.what ?? '',
    };
    writeWhole(path.join(folder, 'home.json'), JSON.stringify(now));
  };
  tick();
  const timer = setInterval(tick, TICK_MS);
  return {
    governor,
    // An hour of a simulated home is no hour of the run: what it used is in its report, and not handed in.
    books: {
      begin() {},
      trained: (more) => {
        tokens += more;
      },
      handIn: undefined,
      settle() {},
      end() {},
    },
    async close() {
      clearInterval(timer);
      tick();
      recorder.flush();
      books.flush();
    },
  };
}

const SIMULATED = { quality: 'modelled', method: 'simulated home' } as const;
