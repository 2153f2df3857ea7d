import { type Gpt2Config, gpt2Parameters } from '../ml/models/gpt2.ts';
import { elementsOf, type ParameterSpec } from '../ml/tensor/parameters.ts';
import type { InnerOptimizer } from '../ml/training/optimizer.ts';
import { cutIntoFragments, type Fragment } from '../outer/fragments.ts';
import type { Job } from '../protocol/run-file.ts';

/** How a job reads in the terms of the room `ml`, and its parameters in those of `outer`. */

export function modelOf(job: Job, vocabularySize: number): Gpt2Config {
  return { ...job.model, contextLength: job.context, vocabularySize };
}

export function innerOptimizerOf({ inner }: Job): InnerOptimizer {
  const { rate, betas, epsilon, weightDecay } = inner;
  const adam = { rate, betas, epsilon, weightDecay } as const;
  return inner.optimizer === 'adamw'
    ? { kind: 'adamw', ...adam }
    : { kind: 'muon', ...adam, momentum: inner.muonMomentum, adamRate: inner.adamRate };
}

/** The same cut on both sides of the wire: it follows from the model and the number of fragments alone. */
export function fragmentsOf(model: Gpt2Config, count: number): readonly Fragment[] {
  return cutIntoFragments(gpt2Parameters(model).map(layoutOf), count);
}

const layoutOf = (spec: ParameterSpec) => ({
  name: spec.name,
  elements: elementsOf(spec),
  role: spec.role === 'embedding' ? ('embedding' as const) : ('other' as const),
});
