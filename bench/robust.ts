import { AVERAGINGS } from '../src/protocol/outer-names.ts';
import { federate } from '../test/outer/attackers.ts';
import { type Figure, publish } from './figures.ts';

const ATTACKS = ['sign-flip', 'scaling', 'noise', 'label-flip'] as const;
const [ISLANDS, ATTACKERS] = [12, 3];
const UNBOUNDED = 1e9;

/** Every rule of merging against every attack by a quarter of the islands: held-out loss over that of an undisturbed run. */
export async function robust({ json }: { readonly json: string | undefined }): Promise<boolean> {
  const startedAt = new Date();
  const undisturbed = federate({ normBound: UNBOUNDED }, 'none', 0, ISLANDS);
  const figures = ATTACKS.flatMap((attack) => [
    ...AVERAGINGS.map((averaging): Figure => {
      const value = federate({ averaging, normBound: UNBOUNDED }, attack, ATTACKERS, ISLANDS) / undisturbed;
      const fails = averaging === 'mean' || averaging === 'radial-directional';
      const target = fails ? null : '≤ 1.15 ×';
      return {
        id: `robust.${attack}.${averaging}`,
        value,
        unit: '×',
        target,
        met: fails ? null : value <= 1.15,
        note: '',
      };
    }),
    {
      id: `robust.${attack}.mean-within-twice-the-median-length`,
      value: federate({ normBound: 2 }, attack, ATTACKERS, ISLANDS) / undisturbed,
      unit: '×',
      target: null,
      met: null,
      note: `${ATTACKERS} of ${ISLANDS} islands lie in every one of 30 rounds; loss over that without them`,
    },
  ]);
  publish('robust', startedAt, figures, json);
  return true;
}
