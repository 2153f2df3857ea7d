/** Names that a run file may choose from; what they mean is in the room `outer`. */
export const AVERAGINGS = [
  'mean',
  'radial-directional',
  'median',
  'trimmed-mean',
  'krum',
  'multi-krum',
  'geometric-median',
] as const;
export const OUTER_OPTIMIZERS = ['nesterov', 'delayed-nesterov', 'momentum', 'adam', 'yogi'] as const;
export const FRAGMENTATIONS = ['balanced', 'sequential', 'strided'] as const;
export const STRATEGY_NAMES = [
  'auto',
  'diloco',
  'muloco',
  'streaming',
  'decoupled',
  'dilocox',
  'sparseloco',
  'async',
  'fedavg',
  'fedavgm',
  'fedadam',
  'fedyogi',
  'fedprox',
  'data-parallel',
] as const;
