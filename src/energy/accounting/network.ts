import { HelioError } from '../../errors.ts';
import type { Origin } from '../figure.ts';

/** Electricity of moving data, as somebody published it. */
export interface NetworkAssumption {
  readonly whPerGB: number;
  readonly source: string;
  readonly vintage: string;
}

/**
 * An upper figure: it divides all energy of the networks by all bytes. Networks draw nearly the same with and without our bytes, so that what is
 * caused is far less; nobody measures it for a run.
 */
export const SUSTAINABLE_WEB_DESIGN: NetworkAssumption = {
  whPerGB: 59,
  source: 'Sustainable Web Design Model 4, operational energy of networks',
  vintage: '2024',
};

const MOST_WH_PER_GB = 100_000;

/** @throws HelioError HELIO-1012 */
export function networkEnergy(
  bytes: number,
  { whPerGB, source, vintage }: NetworkAssumption,
): { readonly wh: number; readonly origin: Origin } {
  if (!(bytes >= 0 && bytes < Number.POSITIVE_INFINITY && whPerGB >= 0 && whPerGB <= MOST_WH_PER_GB))
    throw new HelioError(
      'HELIO-1012',
      `The network's energy was asked for ${bytes} bytes at ${whPerGB} Wh/GB.`,
      `Give bytes of 0 or more, and from 0 to ${MOST_WH_PER_GB} Wh/GB.`,
    );
  return {
    wh: (bytes / 1e9) * whPerGB,
    origin: { quality: 'assumed', method: `${whPerGB} Wh/GB: ${source}`, vintage },
  };
}
