import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HelioError } from '../../../errors.ts';
import type { Origin } from '../../figure.ts';
import { type Meter, type Outcome, QUANTITY_UNITS, type Quantity } from '../reading.ts';
import { modelledPower, type RatedPower, ratedPower } from './load-model.ts';
import { type Gpu, NVIDIA_QUERY, parseNvidia } from './nvidia.ts';
import { readPowerSupply } from './power-supply.ts';
import { POWERMETRICS, POWERMETRICS_REMEDY, parsePowermetrics } from './powermetrics.ts';
import { findZones, powerBetween, type RaplSample, sampleZones } from './rapl.ts';
import { type System, thisSystem } from './system.ts';

const NAME = 'this machine';
const STALE_MS = 60_000;
/** The first poll has nothing before it: it waits this long for a second sample. */
const FIRST_SAMPLE_MS = 500;

interface Power {
  readonly watts: number;
  readonly origin: Origin;
}
interface Load {
  readonly busyMs: number;
  readonly totalMs: number;
}

/**
 * What the machine says of its own power, without any device: RAPL on Linux, powermetrics on a Mac, the battery while a laptop runs on it; else its load
 * times its rated power, which is labelled as modelled. GPUs that say theirs are added. Mainboard, disks, fans and power supply are in none of them but the battery's.
 * A processor's figure is the mean since the poll before.
 */
export function machineMeter(system: System = thisSystem): Meter {
  const zones = findZones(system.root);
  let sample: RaplSample | undefined;
  let load: Load | undefined;
  let rated: RatedPower | undefined;
  let hasGpus: boolean | undefined;

  const byRapl = async (): Promise<Power | undefined> => {
    const before = sample ?? sampleZones(zones, system.monotonicMs());
    if (sample === undefined) await sleep(FIRST_SAMPLE_MS);
    sample = sampleZones(zones, system.monotonicMs());
    const watts = powerBetween(zones, before, sample);
    const names = zones.map(({ name }) => name).join(', ');
    return watts === undefined ? undefined : { watts, origin: { quality: 'measured', method: `RAPL ${names}` } };
  };

  const byLoad = async (insteadOf: string | undefined): Promise<Power> => {
    const before = load ?? system.processor();
    if (load === undefined) await sleep(FIRST_SAMPLE_MS);
    const { model, threads, busyMs, totalMs } = system.processor();
    load = { busyMs, totalMs };
    rated ??= ratedPower(tdpTable(), model, threads);
    const share = totalMs > before.totalMs ? (busyMs - before.busyMs) / (totalMs - before.totalMs) : 1;
    return {
      watts: modelledPower(rated.tdpW, share),
      origin: {
        quality: 'modelled',
        method: `TDP·(0.1 + 0.9·load³) at ${Math.round(share * 100)} % load, ${rated.from}`,
        ...(insteadOf === undefined ? {} : { insteadOf }),
      },
    };
  };

  const processorPower = async (dischargeW: number | undefined): Promise<Power & { readonly whole?: true }> => {
    let insteadOf: string | undefined;
    if (zones.length > 0) {
      try {
        const power = await byRapl();
        if (power !== undefined) return power;
        insteadOf = 'RAPL, which was asked too rarely to be sure';
      } catch (error) {
        if (!(error instanceof HelioError)) throw error;
        insteadOf = `${error.what} ${error.remedy}`;
      }
    }
    if (system.platform === 'darwin') {
      const watts = parsePowermetrics((await system.run('sudo', POWERMETRICS)) ?? '');
      if (watts !== undefined) return { watts, origin: { quality: 'measured', method: 'powermetrics' } };
      insteadOf = `powermetrics, which may be run by root alone. ${POWERMETRICS_REMEDY}`;
    }
    if (dischargeW !== undefined)
      return { watts: dischargeW, origin: { quality: 'measured', method: 'discharge of its battery' }, whole: true };
    return byLoad(insteadOf);
  };

  const gpus = async (): Promise<readonly Gpu[]> => {
    if (hasGpus === false) return [];
    const found = parseNvidia((await system.run('nvidia-smi', NVIDIA_QUERY)) ?? '');
    // A driver that hangs once has GPUs nevertheless.
    hasGpus ??= found.length > 0;
    return found;
  };

  const computePower = async (dischargeW: number | undefined): Promise<Power> => {
    const processor = await processorPower(dischargeW);
    if (processor.whole === true) return processor;
    const all = await gpus();
    if (hasGpus === true && all.length === 0)
      throw new HelioError(
        'HELIO-6101',
        'nvidia-smi does not answer any more.',
        'Run it by hand and see what it says.',
      );
    const silent = all.filter(({ powerW }) => powerW === undefined);
    const { quality, method, insteadOf } = processor.origin;
    const methods = all.map(({ index, name, powerW, limitW }) => {
      if (powerW !== undefined) return `nvidia-smi GPU ${index} (${name})`;
      return limitW === undefined
        ? `without GPU ${index} (${name}), which tells no power`
        : `limit of GPU ${index} (${name})`;
    });
    const watts = all.reduce((sum, { powerW, limitW }) => sum + (powerW ?? limitW ?? 0), processor.watts);
    return {
      watts,
      origin: {
        quality: silent.length > 0 ? 'assumed' : quality,
        method: [method, ...methods].join(' + '),
        ...(insteadOf === undefined ? {} : { insteadOf }),
      },
    };
  };

  const supplied = readPowerSupply(system.root);
  const quantities: readonly Quantity[] = [
    'compute-power',
    ...(supplied.chargePercent === undefined ? [] : (['backup-charge'] as const)),
    ...(supplied.mains === undefined ? [] : (['mains'] as const)),
  ];

  return {
    name: NAME,
    quantities,
    staleAfterMs: STALE_MS,
    async read() {
      const { mains, chargePercent, dischargeW } = readPowerSupply(system.root);
      const outcomes: Outcome[] = [];
      const add = (quantity: Quantity, value: number, origin: Origin): void => {
        const reading = { quantity, value, unit: QUANTITY_UNITS[quantity], atMs: system.clock(), origin };
        outcomes.push({ ok: true, quantity, reading });
      };
      try {
        const { watts, origin } = await computePower(dischargeW);
        add('compute-power', watts, origin);
      } catch (error) {
        const problem =
          error instanceof HelioError
            ? error
            : new HelioError('HELIO-6102', `${NAME}: ${String(error).slice(0, 200)}.`, 'Report this.');
        outcomes.push({ ok: false, quantity: 'compute-power', problem });
      }
      const supply = { quality: 'measured', method: 'power supply of the system' } as const;
      const gone = (quantity: Quantity): Outcome => ({
        ok: false,
        quantity,
        problem: new HelioError('HELIO-6101', `${NAME} tells no ${quantity} any more.`, 'Was its battery taken out?'),
      });
      if (quantities.includes('backup-charge')) {
        if (chargePercent === undefined) outcomes.push(gone('backup-charge'));
        else add('backup-charge', chargePercent, supply);
      }
      if (quantities.includes('mains')) {
        if (mains === undefined) outcomes.push(gone('mains'));
        else add('mains', mains ? 1 : 0, supply);
      }
      return outcomes;
    },
    async close() {},
  };
}

const tdpTable = (): string =>
  readFileSync(path.resolve(import.meta.dirname, '../../../../data/meters/cpu-tdp.csv'), 'utf8');
