/** When a site's machine trains: one pure function. docs/energy-policy.md. */
export { countdown, type Decision, decide, type Policies } from './decide.ts';
export { clockTime } from './local-time.ts';
export { shareOf } from './plan-forecast.ts';
export { DEFAULT_POLICY, type Hours, MODES, type Mode, type Policy, policySchema } from './policy-schema.ts';
export {
  newMemory,
  type Override,
  type PolicyMemory,
  policyMemorySchema,
  type Signal,
  type SiteForecast,
  type SiteNow,
  type Vehicle,
} from './site-now.ts';
export { FULL_PERCENT, surplusW } from './surplus.ts';
