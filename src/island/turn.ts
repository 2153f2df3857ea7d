import { HelioError } from '../errors.ts';
import type { FragmentClock } from './fragment-clock.ts';
import type { IslandEffect, IslandState } from './state.ts';

/** One decision on its way: the state as it is by now, and what is to be done. */
export class Turn {
  readonly effects: IslandEffect[] = [];
  state: IslandState;

  constructor(state: IslandState) {
    this.state = state;
  }

  update(change: Partial<IslandState>): void {
    this.state = { ...this.state, ...change };
  }

  clock(fragment: number, clock: FragmentClock): void {
    this.update({ clocks: this.state.clocks.with(fragment, clock) });
  }

  effect(effect: IslandEffect): void {
    this.effects.push(effect);
  }
}

export const noSuchFragment = (fragment: number): HelioError =>
  malformedMessage(`spoke of fragment ${fragment}, which does not exist`);

export const malformedMessage = (did: string): HelioError =>
  new HelioError('HELIO-4004', `The coordinator ${did}.`, 'Both sides must run the same version of Heliotrope.');
