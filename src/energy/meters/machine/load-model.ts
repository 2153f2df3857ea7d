/**
 * Power of a processor from its load, where nothing measures it: CodeCarbon 3.3's machine mode, TDP · (0.1 + 0.9 · load³), with the TDP of its table
 * (data/meters/cpu-tdp.csv is an excerpt), and 4 W a thread for a processor that is not in it.
 */

/** @param load 0 to 1 */
export const modelledPower = (tdpW: number, load: number): number =>
  tdpW * (0.1 + 0.9 * Math.min(1, Math.max(0, load)) ** 3);

const UNKNOWN_W_PER_THREAD = 4;

export interface RatedPower {
  readonly tdpW: number;
  /** For the reader of a report. */
  readonly from: string;
}

/**
 * @param table lines `name,TDP`, with a header
 * @param model as the system names it: `Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz`
 */
export function ratedPower(table: string, model: string, threads: number): RatedPower {
  const wanted = bare(model);
  for (const line of table.split('\n')) {
    const comma = line.lastIndexOf(',');
    if (comma > 0 && bare(line.slice(0, comma)) === wanted) {
      const tdpW = Number(line.slice(comma + 1));
      return { tdpW, from: `TDP ${tdpW} W` };
    }
  }
  const tdpW = UNKNOWN_W_PER_THREAD * threads;
  return { tdpW, from: `unknown processor, ${UNKNOWN_W_PER_THREAD} W × ${threads} threads` };
}

/** A processor's name without its trade marks, clock and count of cores. */
const bare = (model: string): string =>
  model
    .replace(/\((?:R|TM|C)\)/gi, ' ')
    .replace(/@.*$/, ' ')
    .replace(/\b(?:CPU|Processor|(?:\d+|Dual|Quad|Six|Eight|Twelve|Sixteen)-Core)\b/gi, ' ')
    .replace(/\bwith Radeon.*$/i, ' ')
    .replace(/^\s*(?:\d+th Gen)\b/i, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .toLowerCase();
