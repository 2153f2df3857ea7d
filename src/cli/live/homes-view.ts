import { readFileSync } from 'node:fs';
import path from 'node:path';
import pc from 'picocolors';
import { clockTime } from '../../energy/policy/index.ts';
import { sunPosition } from '../../energy/sun/index.ts';
import type { HomesFile, SimulatedSite } from '../../simulate/homes-file.ts';
import { type SiteClock, siteMs } from '../../simulate/site-clock.ts';
import type { HomeNow } from '../simulated-home.ts';
import { sanitized } from '../terminal-text.ts';

/** The homes of a run as lines for the live display: where it is day, and what each home does and why. */
export class HomesView {
  readonly #file: HomesFile;
  readonly #clock: SiteClock;
  readonly #folder: () => string | undefined;
  readonly #colors: ReturnType<typeof pc.createColors>;
  readonly #said = new Map<string, string>();

  /** @param folder the run's, once it is known */
  constructor(file: HomesFile, clock: SiteClock, folder: () => string | undefined, colorful: boolean) {
    this.#file = file;
    this.#clock = clock;
    this.#folder = folder;
    this.#colors = pc.createColors(colorful);
  }

  lines(): readonly string[] {
    const nowMs = siteMs(this.#clock, Date.now());
    const { dim, bold } = this.#colors;
    const date = new Date(nowMs).toISOString().slice(0, 16).replace('T', ' ');
    return [
      '',
      `${bold('the sun')} ${dim(`${date} UTC, ${this.#clock.speed} × real time`)}`,
      this.#globe(nowMs),
      ...this.#homes(nowMs),
    ];
  }

  /** What changed since the last call, as sentences: for a display that does not redraw. */
  news(): readonly string[] {
    const nowMs = siteMs(this.#clock, Date.now());
    return this.#file.homes.flatMap((home) => {
      const now = this.#read(home.name);
      if (now === undefined) return [];
      const is = now.state === 'training' ? 'trains' : `does not train (${now.reason})`;
      if (this.#said.get(home.name) === is) return [];
      this.#said.set(home.name, is);
      return [`${home.name}, ${clockTime(nowMs, home.location.timeZone)}: ${is}. ${now.what}`];
    });
  }

  /** A strip from 180° W to 180° E at the equator: day and night, and where the homes are. */
  #globe(nowMs: number): string {
    const { yellow, blue, green, bold } = this.#colors;
    return Array.from({ length: GLOBE }, (_, i) => {
      const longitudeDeg = -180 + (360 * (i + 0.5)) / GLOBE;
      const home = this.#file.homes.find(
        (each) => Math.floor(((each.location.longitudeDeg + 180) / 360) * GLOBE) === i,
      );
      if (home !== undefined) return this.#read(home.name)?.state === 'training' ? green(bold('●')) : '○';
      const elevationDeg = 90 - sunPosition({ latitudeDeg: 0, longitudeDeg, altitudeM: 0 }, nowMs).apparentZenithDeg;
      return elevationDeg > 30 ? yellow('▓') : elevationDeg > 0 ? yellow('▒') : blue('░');
    }).join('');
  }

  #homes(nowMs: number): readonly string[] {
    return this.#file.homes.map((home) => this.#line(home, nowMs));
  }

  #line(home: SimulatedSite, nowMs: number): string {
    const { green, yellow, dim } = this.#colors;
    const now = this.#read(home.name);
    const time = clockTime(nowMs, home.location.timeZone);
    if (now === undefined) return dim(`${home.name.padEnd(12)} ${time}  …`);
    const peakW = (home.solar?.arrays ?? []).reduce((sum, { peakW: w }) => sum + w, 0);
    const level = peakW === 0 ? 0 : Math.min(7, Math.round((7 * now.pvW) / (0.8 * peakW)));
    const sun = now.pvW < 1 ? dim('☾       ') : yellow(`☀${LEVELS[level]} ${kilowatts(now.pvW)}`);
    const battery = now.batteryPercent === null ? '      ' : `▮${now.batteryPercent.toFixed(0).padStart(3)} %`;
    const state =
      now.state === 'training' ? green(`trains at ${Math.round(now.powerW)} W`) : dim(sanitized(now.what, 70));
    return `${home.name.padEnd(12)} ${time}  ${sun}  ${battery}  ${state}`;
  }

  #read(name: string): HomeNow | undefined {
    const folder = this.#folder();
    if (folder === undefined) return undefined;
    try {
      return JSON.parse(readFileSync(path.join(folder, 'islands', name, 'home.json'), 'utf8')) as HomeNow;
    } catch {
      return undefined;
    }
  }
}

const GLOBE = 72;
const LEVELS = '▁▂▃▄▅▆▇█';
const kilowatts = (powerW: number): string => `${(powerW / 1_000).toFixed(1)} kW`;
