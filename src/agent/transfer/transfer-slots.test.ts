import { expect, it } from 'vitest';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { TransferSlots } from './transfer-slots.ts';

function slots() {
  const clock = new VirtualClock();
  return { clock, slots: new TransferSlots(clock) };
}

it('gives a few states at once, and fewer to one node', () => {
  const { slots: given } = slots();
  const began = ['n1', 'n1', 'n1', 'n1', 'n2', 'n3', 'n4', 'n5'].map(
    (node, at) => given.enter(node, `state-${at}`) !== null,
  );
  expect(began).toEqual([true, true, true, false, true, true, true, false]);
});

it('answers few requests of one transfer at once', () => {
  const { slots: given } = slots();
  const ends = Array.from({ length: 5 }, () => given.enter('n1', 'state'));
  expect(ends.map((end) => end !== null)).toEqual([true, true, true, true, false]);
  ends[0]?.();
  expect(given.enter('n1', 'state')).not.toBeNull();
});

it('keeps the slot of a transfer between two files, and not for long', async () => {
  const { clock, slots: given } = slots();
  for (const state of ['a', 'b', 'c']) given.enter('n1', state)?.();
  expect(given.enter('n1', 'd')).toBeNull();
  await clock.advance(1_999);
  expect(given.enter('n1', 'd')).toBeNull();
  given.enter('n1', 'a')?.();
  await clock.advance(1);
  expect(given.enter('n1', 'd')).not.toBeNull();
  expect(given.enter('n1', 'e')).not.toBeNull();
  expect(given.enter('n1', 'f')).toBeNull(); // a has asked again
});
