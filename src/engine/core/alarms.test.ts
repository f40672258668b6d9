import { describe, expect, it } from 'vitest';
import { Alarms, type Sleeper } from './alarms.ts';

function sleeper(name: string): Sleeper & { readonly name: string } {
  return { name, wakeAtMs: Number.POSITIVE_INFINITY };
}

describe('Alarms', () => {
  it('wakes each once its time has come, earliest first', () => {
    const alarms = new Alarms<ReturnType<typeof sleeper>>();
    const times = [5, 3, 9, 1, 7, 3];
    for (const [at, ms] of times.entries()) alarms.set(sleeper(`s${at}`), ms);
    expect(alarms.nextMs()).toBe(1);
    expect([...alarms.due(5)].map(({ name }) => name)).toEqual(['s3', 's1', 's5', 's0']);
    expect(alarms.nextMs()).toBe(7);
    expect([...alarms.due(100)].map(({ name }) => name)).toEqual(['s4', 's2']);
    expect(alarms.nextMs()).toBe(Number.POSITIVE_INFINITY);
  });

  it('knows of an alarm that was set anew only the new time', () => {
    const alarms = new Alarms<ReturnType<typeof sleeper>>();
    const [a, b] = [sleeper('a'), sleeper('b')];
    alarms.set(a, 1);
    alarms.set(b, 2);
    alarms.set(a, 5);
    expect(alarms.nextMs()).toBe(2);
    alarms.set(b, Number.POSITIVE_INFINITY);
    expect([...alarms.due(10)]).toEqual([a]);
  });

  it('keeps the right order however often alarms are set anew', () => {
    const alarms = new Alarms<ReturnType<typeof sleeper>>();
    const all = Array.from({ length: 50 }, (_, at) => sleeper(`s${at}`));
    for (let turn = 0; turn < 40; turn++)
      for (const [at, one] of all.entries()) alarms.set(one, (at * 7 + turn * 13) % 101);
    const woken = [...alarms.due(1_000)];
    expect(woken).toHaveLength(50);
    const times = woken.map((one) => (all.indexOf(one) * 7 + 39 * 13) % 101);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });
});
