import { describe, expect, it } from 'vitest';
import { makeTicket } from '../../test/support/builders.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { TicketProgress } from './ticket-progress.ts';

function setUp() {
  const clock = new VirtualClock();
  const progress = new TicketProgress(clock);
  const awaited: string[] = [];
  progress.onAwaited = () => awaited.push(progress.seen);
  return { clock, progress, awaited };
}

const at = (resourceVersion: string, overrides: Parameters<typeof makeTicket>[0] = {}) =>
  makeTicket({ resourceVersion, phase: 'Saving', ...overrides });

describe('what is seen', () => {
  it('is the highest version that the watch or a listing brought of a ticket, not that of the listing', () => {
    const { progress } = setUp();
    progress.listed([at('90'), at('9')], '500', false);
    expect(progress.seen).toBe('90');
    progress.upserted(at('100'));
    progress.removed('101');
    expect(progress.seen).toBe('101');
  });

  it('is told at once of tickets that evictions may wait for, and of no others', () => {
    const { progress, awaited } = setUp();
    progress.upserted(at('10'));
    progress.upserted(at('11', { phase: 'Waiting' }));
    progress.upserted(at('12', { phase: 'Restored' }));
    progress.upserted(at('13', { phase: 'Waiting', failedNodes: [{ node: 'n1', pod: 'p', reason: 'x' }] as never }));
    expect(awaited).toEqual(['10', '13']);
  });

  it('is nothing after versions went back, until the next listing', () => {
    const { progress } = setUp();
    progress.upserted(at('500'));
    progress.forget();
    progress.upserted(at('301')); // from a watch that missed what was restored
    expect(progress.seen).toBe('0');
    progress.listed([at('300')], '302', false);
    expect(progress.seen).toBe('300');
  });
});

describe('a watch', () => {
  it('is behind when it has not brought within 5 s what is known to exist', async () => {
    const { clock, progress } = setUp();
    progress.exists('10');
    await clock.advance(4_000);
    progress.exists('20');
    progress.upserted(at('10'));
    await clock.advance(4_000);
    expect(progress.isBehind).toBe(false); // for the version 20, since a moment
    await clock.advance(1_000);
    expect(progress.isBehind).toBe(true);
    progress.listed([], '25', false);
    expect(progress.isBehind).toBe(false);
  });

  it('that was listed at a later version than another replica has seen is not behind', async () => {
    const { clock, progress } = setUp();
    progress.listed([at('10')], '30', false);
    progress.exists('29'); // a deletion that the other replica saw
    await clock.advance(60_000);
    expect(progress.isBehind).toBe(false);
  });
});
