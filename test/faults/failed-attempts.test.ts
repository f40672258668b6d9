import { describe, expect, it } from 'vitest';
import { makeDisplacement } from '../support/builders.ts';
import { preemptionIn } from '../support/preemption.ts';
import type { CloseReason } from '../../src/engine/displace/close-reasons.ts';
import { FailedAttempts } from './failed-attempts.ts';
import type { Truth } from './truth.ts';

const displacement = makeDisplacement();
const { preemptor, node } = preemptionIn(displacement);
const at = (elapsedMs: number): Truth =>
  ({ world: { elapsedMs, plan: { settings: { retryNodeAfterMs: 10_000 } } } }) as unknown as Truth;

function closed(because: CloseReason, ...timesMs: readonly number[]): FailedAttempts {
  const attempts = new FailedAttempts();
  for (const ms of timesMs) attempts.closed(at(ms), 'a', displacement, because);
  return attempts;
}

const isLeftOut = (attempts: FailedAttempts, ms: number, by = 'a', where: string = node): boolean =>
  attempts.mayBeLeftOut(at(ms), by, preemptor.uid, where);

describe('a node where an attempt failed', () => {
  it('may be left out until it is tried again', () => {
    const attempts = closed('CheckpointFailed', 1_000);
    expect([isLeftOut(attempts, 1_000), isLeftOut(attempts, 10_999), isLeftOut(attempts, 11_000)]).toEqual([
      true,
      true,
      false,
    ]);
  });

  it('may be left out for longer each time', () => {
    const attempts = closed('DeadlineExceeded', 1_000, 20_000);
    expect([isLeftOut(attempts, 39_999), isLeftOut(attempts, 40_000)]).toEqual([true, false]);
  });

  it('is left out by the process that tried it, and no other node is', () => {
    const attempts = closed('CheckpointFailed', 1_000);
    expect([isLeftOut(attempts, 1_000, 'b'), isLeftOut(attempts, 1_000, 'a', 'other')]).toEqual([false, false]);
  });

  it('is not left out after an attempt that did not fail', () => {
    expect(isLeftOut(closed('PreemptorGone', 1_000), 1_000)).toBe(false);
  });

  it('is another one when it was removed and came again', () => {
    const attempts = closed('CheckpointFailed', 1_000);
    attempts.nodeGone(node);
    expect(isLeftOut(attempts, 1_000)).toBe(false);
  });
});
