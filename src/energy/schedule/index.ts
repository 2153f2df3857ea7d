export { type BatteryJob, type BatteryPlan, type HomeOutlook, planBattery } from './battery.ts';
export { budgetCurves } from './budget.ts';
export { HomeAhead, type Outlook } from './caused.ts';
export { exclusionAfterRound, type Participation, participationBalance } from './fairness.ts';
export { planGreedy } from './greedy.ts';
export { planMilp } from './milp.ts';
export { type Expected, gridPlanOf, type IslandBudget, planRun, type RunGoal, type RunPlan } from './run-plan.ts';
export { MEASURED_RETURNS, type ScaleJob, type ScalePlan, scaleByCarbon } from './scale.ts';
export type { Conflict, Gap, LpSolver, PlanIsland, PlanJob, Planned, PlanResult } from './types.ts';
