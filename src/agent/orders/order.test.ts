import { describe, expect, it } from 'vitest';
import type { NodeApi } from '../node-api.ts';
import { checkpointNameIn, Order, type OrderMove } from './order.ts';

function setUp() {
  const moves: OrderMove[] = [];
  const order = new Order(
    { metadata: { namespace: 'default', name: 'c', uid: 'u1' }, spec: { pod: { name: 'a', uid: 'p1' } } },
    { api: {} as NodeApi, life: new AbortController().signal, onMove: (_, move) => moves.push(move) },
  );
  return { order, moves };
}

describe('a checkpoint request on its node', () => {
  it('tells each move once, with its cause', () => {
    const { order, moves } = setUp();
    for (const cause of ['Taken', 'DiskTurn', 'Saved', 'Taken', 'Killed'] as const) order.move(cause);
    const reference = 'default_c_u1';
    expect(moves).toEqual([
      { reference, from: 'Known', to: 'Waiting', cause: 'Taken' },
      { reference, from: 'Waiting', to: 'Dumping', cause: 'DiskTurn' },
      { reference, from: 'Dumping', to: 'Held', cause: 'Saved' },
      { reference, from: 'Held', to: 'Closed', cause: 'Killed' },
    ]);
    expect(checkpointNameIn(reference)).toBe('c');
  });

  it('cancels the dump when it is undone, and says whether a cause was ignored', () => {
    const { order } = setUp();
    order.move('Taken');
    order.move('DiskTurn');
    expect(order.cancelled.aborted).toBe(false);
    expect(order.move('Deleted')).toBe(true);
    expect(order.cancelled.aborted).toBe(true);
    expect(order.move('Deleted')).toBe(false);
    expect(order.undoCause).toBe('Deleted');
  });

  it('ends with its agent without being undone', () => {
    const { order, moves } = setUp();
    order.abandon();
    expect(order.cancelled.aborted).toBe(true);
    expect(moves).toEqual([]);
    expect(order.isUntouched).toBe(true);
  });
});
