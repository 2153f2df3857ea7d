import { infeasible, problemOf } from './problem.ts';
import type { LpSolver, PlanIsland, PlanJob, PlanResult } from './types.ts';

/**
 * Who trains when, exactly: FedZero's selection (Wiesner et al. 2024, section 4) as one linear program with a binary for each island, b = 1
 * where it takes part: min Σ price·x, Σ x ≥ 1, least·b ≤ Σₜ x ≤ b (x: tokens of a slot as a share of the job's).
 */
export function planMilp(islands: readonly PlanIsland[], job: PlanJob, solve: LpSolver, gap = 1e-6): PlanResult {
  const found = problemOf(islands, job);
  if (found.kind !== 'problem') return found;
  const { steps, capWh, pricePerToken, gaps, job: full } = found.problem;
  const share = (slot: number): number => (capWh[slot]! * islands[Math.floor(slot / steps)]!.tokensPerWh) / job.tokens;
  const dearest = Math.max(found.problem.dearest, -found.problem.cheapest);
  const scale = dearest > 0 ? 1 / dearest : 1;
  const objective: string[] = [];
  const all: string[] = [];
  const rows: string[] = [];
  const bounds: string[] = [];
  const binaries: string[] = [];
  for (const i of islands.keys()) {
    const its: string[] = [];
    let most = 0;
    for (let slot = i * steps; slot < (i + 1) * steps; slot++) {
      if (!(capWh[slot]! > 0)) continue;
      objective.push(`${pricePerToken[slot]! < 0 ? '-' : '+'} ${Math.abs(pricePerToken[slot]! * scale)} x${slot}`);
      its.push(`+ x${slot}`);
      bounds.push(`0 <= x${slot} <= ${share(slot)}`);
      most += share(slot);
    }
    if (its.length === 0) continue;
    all.push(...its);
    binaries.push(`b${i}`);
    rows.push(
      `most${i}: ${its.join(' ')} - ${most} b${i} <= 0`,
      `least${i}: ${its.join(' ')} - ${full.minTokensEach / job.tokens} b${i} >= 0`,
    );
  }
  const count = binaries.map((b) => `+ ${b}`).join(' ');
  const lp = [
    'Minimize',
    `price: ${objective.join('\n ')}`,
    'Subject To',
    // Exactly the tokens: where hours pay for what is taken, more would otherwise be trained than was asked for.
    `tokens: ${all.join('\n ')} = 1`,
    `fewest: ${count} >= ${full.minIslands}`,
    `largest: ${count} <= ${full.maxIslands}`,
    ...rows,
    'Bounds',
    ...bounds,
    'Binary',
    binaries.join('\n '),
    'End',
  ].join('\n');
  const { Status, Columns } = solve(lp, { mip_rel_gap: gap, time_limit: 60 });
  if (Status === 'Infeasible')
    return infeasible(
      'minimum-islands',
      'No choice of islands trains the tokens with each its least share. Lower the least share or number.',
      gaps,
    );
  if (Status !== 'Optimal')
    return infeasible('solver', `The solver stopped with "${Status}" and no plan. Use planGreedy.`, gaps);
  const energyWh = islands.map(() => new Float64Array(steps));
  let total = 0;
  let tokens = 0;
  for (let slot = 0; slot < capWh.length; slot++) {
    const primal = Columns[`x${slot}`]?.Primal ?? 0;
    if (!(primal > 0)) continue;
    const i = Math.floor(slot / steps);
    const wh = Math.min(capWh[slot]!, (primal * job.tokens) / islands[i]!.tokensPerWh);
    energyWh[i]![slot - i * steps] = wh;
    tokens += wh * islands[i]!.tokensPerWh;
    total += wh * islands[i]!.tokensPerWh * pricePerToken[slot]!;
  }
  const takesPart = islands.map((_, i) => (Columns[`b${i}`]?.Primal ?? 0) > 0.5);
  return { kind: 'plan', energyWh, takesPart, tokens, total, gaps };
}
