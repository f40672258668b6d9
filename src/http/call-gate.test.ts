import { expect, it } from 'vitest';
import { CallGate } from './call-gate.ts';

it('refuses what is too much at once, and goes on when there is room', async () => {
  const gate = new CallGate({ timeoutMs: 1000, maxCalls: 2 });
  const bodies = [Promise.withResolvers<string>(), Promise.withResolvers<string>()] as const;
  const calls = bodies.map(({ promise }) =>
    gate.pass(
      () => promise,
      (body) => `${body} answered`,
    ),
  );
  await expect(gate.pass(() => Promise.resolve('third'), String)).rejects.toMatchObject({ code: 'Overloaded' });
  bodies[0].reject(new Error('connection cut'));
  await expect(calls[0]).rejects.toThrow('connection cut');
  expect(await gate.pass(() => Promise.resolve('fourth'), String)).toBe('fourth');
  bodies[1].resolve('second');
  expect(await calls[1]).toBe('second answered');
});

it('decides nothing for a caller that has gone', async () => {
  let nowMs = 0;
  const gate = new CallGate({ timeoutMs: 2000, nowMs: () => nowMs });
  const answered: string[] = [];
  const arriving = (tookMs: number) => (): Promise<string> => {
    nowMs += tookMs;
    return Promise.resolve(`after ${tookMs} ms`);
  };
  await gate.pass(arriving(1999), (body) => answered.push(body));
  await expect(gate.pass(arriving(2000), (body) => answered.push(body))).rejects.toMatchObject({ code: 'CallTooLate' });
  expect(answered).toEqual(['after 1999 ms']);
});

it('counts a call until its answer is there', async () => {
  const gate = new CallGate({ timeoutMs: 1000, maxCalls: 1 });
  const answer = Promise.withResolvers<string>();
  const first = gate.pass(
    () => Promise.resolve('review'),
    () => answer.promise,
  );
  await expect(gate.pass(() => Promise.resolve('second'), String)).rejects.toMatchObject({ code: 'Overloaded' });
  answer.resolve('allowed');
  expect(await first).toBe('allowed');
});
