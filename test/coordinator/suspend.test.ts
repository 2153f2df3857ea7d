import { afterEach, describe, expect, it } from 'vitest';
import { recover } from '../../src/coordinator/recovery.ts';
import { type Hosted, hosted } from './hosted.ts';

let coordinator: Hosted | undefined;
afterEach(() => coordinator?.close());

describe('a coordinator that is suspended', () => {
  it('leaves its state behind: the next one replays nothing, whatever it would decide otherwise', async () => {
    coordinator = await hosted();
    const { server, store } = coordinator;
    for (const island of ['a', 'b'])
      store.append(1, { kind: 'joined', island, key: island, invitation: null, holds: [] });
    await store.flush();
    expect((await store.history()).events).toHaveLength(2);
    await server.suspend();
    const history = await store.history();
    expect(history.events).toEqual([]);
    expect(history.checkpoint).toMatchObject({ seq: 2, islandsSaved: false, state: { phase: 'gathering' } });
    const recovery = recover(history)!;
    expect(recovery).toMatchObject({ merges: [], records: [], seq: 2, complete: null });
    expect(recovery.state).toEqual(history.checkpoint!.state);
  });
});
