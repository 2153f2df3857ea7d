import type { LiveRecord } from '../../src/cli/records.ts';
import { streamMetrics } from '../../src/cli/report/metrics.ts';

/** A run's books, checked from what it has written down. */
export interface Books {
  readonly merges: number;
  /** Versions of a fragment that are missing or came twice: outer steps that were lost or doubled. */
  readonly wrongVersions: number;
  /** Rounds of an island's work that were merged twice. */
  readonly doubledRounds: number;
  /** Tokens that were merged, of whole rounds over all fragments. */
  readonly mergedTokens: number;
}

export async function checkBooks(folder: string, fragments: number): Promise<Books> {
  const merges: (LiveRecord & { readonly kind: 'merge' })[] = [];
  for await (const record of streamMetrics(folder, ['merge'])) if (record.kind === 'merge') merges.push(record);
  let wrongVersions = 0;
  let doubledRounds = 0;
  let mergedTokens = 0;
  for (let fragment = 0; fragment < fragments; fragment++) {
    const own = merges.filter((merge) => merge.fragment === fragment);
    const versions = own.map((merge) => merge.version).toSorted((a, b) => a - b);
    wrongVersions += versions.filter((version, i) => version !== i + 1).length;
    const rounds = own.flatMap((merge) => merge.contributions.map(({ island, round }) => `${island} ${round}`));
    doubledRounds += rounds.length - new Set(rounds).size;
    for (const merge of own)
      mergedTokens += merge.contributions.reduce((sum, { tokens }) => sum + tokens, 0) / fragments;
  }
  return { merges: merges.length, wrongVersions, doubledRounds, mergedTokens };
}
