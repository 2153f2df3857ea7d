import type { EnergyTotals } from '../protocol/energy.ts';
import { standing } from '../protocol/standing.ts';
import { refusalOf } from './energy-rules.ts';
import { type IslandEnergy, islandTotals, type Refusal } from './energy-state.ts';
import type { Event } from './events.ts';
import type { Step } from './step.ts';

/**
 * Energy that islands claim. They hand in sums that only grow, so one that comes twice changes nothing and one that is lost is in the next. Where a claim is refused the
 * sums before it stay, and its island is told; the next claim that can be is taken again.
 */

/** Takes an island's claim into the sums, or refuses it. */
export function islandClaimsEnergy(step: Step, claim: Event & { readonly kind: 'energy' }): void {
  const { island: name, account, totals } = claim;
  const { energy, sinceS } = step.islandOf(name);
  const accounts = energy?.accounts ?? [];
  const before = accounts.find((each) => each.account === account)?.totals;
  const refusal = refusalOf({ before, accounts, sinceS }, claim);
  if (refusal !== null) return refuse(step, name, accounts, energy?.refused, refusal);
  if (before !== undefined && energy?.refused === undefined && isSame(before, totals)) return;
  const others = accounts.filter((each) => each.account !== account);
  const after: IslandEnergy = { accounts: [...others, { account, totals }] };
  step.island(name, { energy: after });
  step.record({ kind: 'energy', island: name, totals: islandTotals(after) });
}

/** It is told once, and not of each claim that breaks the same rule. */
function refuse(
  step: Step,
  name: string,
  accounts: IslandEnergy['accounts'],
  before: Refusal | undefined,
  refused: Refusal,
): void {
  step.island(name, { energy: { accounts, refused } });
  if (before?.rule === refused.rule) return;
  step.record({ kind: 'energy-refused', island: name, rule: refused.rule, reason: refused.reason });
  step.send(name, {
    kind: 'standing',
    ...standing(
      'training',
      'energy-refused',
      `What this island hands in of its energy is not counted: ${refused.reason}`,
    ),
  });
}

const isSame = (a: EnergyTotals, b: EnergyTotals): boolean => JSON.stringify(a) === JSON.stringify(b);
