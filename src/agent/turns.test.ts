import { describe, expect, it } from 'vitest';
import { Turns } from './turns.ts';

/** Work that ends when it is told to, and the order in which it began. */
function works(): { begun: string[]; begin: (name: string) => () => Promise<string>; end: (name: string) => void } {
  const ends = new Map<string, () => void>();
  const begun: string[] = [];
  return {
    begun,
    begin: (name) => () =>
      new Promise((resolve) => {
        begun.push(name);
        ends.set(name, () => resolve(name));
      }),
    end: (name) => ends.get(name)?.(),
  };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Turns', () => {
  it.each([
    [1, ['a']],
    [2, ['a', 'b']],
  ])('lets %i go at a time, in the order of asking', async (atATime, first) => {
    const { begun, begin, end } = works();
    const turns = new Turns(atATime);
    const all = ['a', 'b', 'c'].map((name) => turns.take(begin(name)));
    await settle();
    expect(begun).toEqual(first);
    for (const name of ['a', 'b', 'c']) {
      end(name);
      await settle();
    }
    expect(await Promise.all(all)).toEqual(['a', 'b', 'c']);
    expect(begun).toEqual(['a', 'b', 'c']);
  });

  it('goes on after work that failed', async () => {
    const turns = new Turns();
    await expect(turns.take(() => Promise.reject(new Error('full')))).rejects.toThrow('full');
    expect(await turns.take(() => Promise.resolve('next'))).toBe('next');
  });

  it('leaves out who stopped waiting, at once', async () => {
    const { begun, begin, end } = works();
    const turns = new Turns();
    const stop = new AbortController();
    const first = turns.take(begin('hangs'));
    const second = turns.take(begin('stopped'), stop.signal);
    const third = turns.take(begin('third'));
    stop.abort(new Error('enough'));
    await expect(second).rejects.toThrow('enough');
    end('hangs');
    await first;
    await settle();
    end('third');
    await third;
    expect(begun).toEqual(['hangs', 'third']);
    await expect(turns.take(begin('late'), stop.signal)).rejects.toThrow('enough');
  });
});
