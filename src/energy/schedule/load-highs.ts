import type { LpSolver } from './types.ts';

/** HiGHS as WebAssembly, loaded when the first exact plan is asked for. One instance, one problem at a time. */
export async function loadHighs(): Promise<LpSolver> {
  const imported = await import('highs');
  // A CommonJS module whose types describe it as an ES module: its export is the loader itself.
  const load = imported.default as unknown as () => Promise<{ readonly solve: LpSolver }>;
  const instance = await load();
  return (lp, options) => instance.solve(lp, options ?? {});
}
