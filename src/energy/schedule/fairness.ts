/**
 * Jain's index (Jain, Chiu, Hawe 1984) of participation relative to the energy that was there: 1 when every owner gave the same share of
 * their available energy, 1/n when one gave all. Owners without available energy are left out; NaN when none has any.
 */
export function participationBalance(
  owners: readonly { readonly usedWh: number; readonly availableWh: number }[],
): number {
  let count = 0;
  let sum = 0;
  let squares = 0;
  for (const { usedWh, availableWh } of owners) {
    if (!(availableWh > 0)) continue;
    const share = usedWh / availableWh;
    count++;
    sum += share;
    squares += share * share;
  }
  return squares > 0 ? (sum * sum) / (count * squares) : Number.NaN;
}

/** How an owner has taken part so far, and whether it waits now. */
export interface Participation {
  readonly name: string;
  readonly participatedRounds: number;
  readonly excluded: boolean;
}

/**
 * FedZero's exclusion (its selection_strategy.py): who took part in the last round waits; each is let in again with probability
 * min(α / (rounds − ω), 1), and surely at or below ω, the mean participation.
 *
 * @param random uniform in [0, 1), seeded by the caller
 */
export function exclusionAfterRound(
  owners: readonly Participation[],
  participants: ReadonlySet<string>,
  random: () => number,
  alpha = 1,
): readonly Participation[] {
  const rounds = owners.map(({ name, participatedRounds }) => participatedRounds + (participants.has(name) ? 1 : 0));
  const mean = rounds.reduce((a, b) => a + b, 0) / Math.max(1, owners.length);
  return owners.map(({ name, excluded }, i) => {
    const above = rounds[i]! - mean;
    const waits = excluded || participants.has(name);
    const released = above <= 0 || random() < Math.min(alpha / above, 1);
    return { name, participatedRounds: rounds[i]!, excluded: waits && !released };
  });
}
