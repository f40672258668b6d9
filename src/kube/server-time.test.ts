import { beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { serverClock, TimedTransport } from './server-time.ts';
import type { KubeRequest, KubeTransport } from './transport.ts';

const REQUEST: KubeRequest = { method: 'GET', path: '/version' };
/** The clock of this machine is far behind that of the server. */
const SERVER_MS = Date.UTC(2026, 5, 1);

let clock: VirtualClock;
let headers: Record<string, string>;
let latencyMs: number;
let time: TimedTransport;
beforeEach(() => {
  clock = new VirtualClock({ startMs: 0 });
  headers = { date: new Date(SERVER_MS + 900).toUTCString() };
  latencyMs = 0;
  const transport: Pick<KubeTransport, 'request'> = {
    request: async () => {
      await clock.advance(latencyMs);
      return { status: 200, headers, body: {} };
    },
  };
  time = new TimedTransport(transport as KubeTransport, clock);
});

describe('the time of the API server', () => {
  it('is what its newest answer says, to a second', async () => {
    await time.request(REQUEST);
    expect([time.earliestMs(), time.latestMs()]).toEqual([SERVER_MS, SERVER_MS + 1_000]);
  });

  it('goes on with the clock that nobody sets', async () => {
    await time.request(REQUEST);
    clock.now = () => 1e15;
    await clock.advance(5_000);
    expect([time.earliestMs(), time.latestMs()]).toEqual([SERVER_MS + 5_000, SERVER_MS + 6_000]);
  });

  it('may be later by as long as the answer took', async () => {
    latencyMs = 300;
    await time.request(REQUEST);
    expect([time.earliestMs(), time.latestMs()]).toEqual([SERVER_MS, SERVER_MS + 1_300]);
  });

  it('is that of this machine where no answer has said anything', async () => {
    headers = {};
    await time.request(REQUEST);
    expect([time.earliestMs(), time.latestMs()]).toEqual([0, 0]);
  });
});

describe('a clock that shows the time of the API server', () => {
  it('is not moved when the clock of this machine is set', async () => {
    const shown = serverClock(time, clock);
    await time.request(REQUEST);
    const beforeMs = shown.now();
    clock.now = () => 1e15;
    await clock.advance(5_000);
    expect(shown.now() - beforeMs).toBe(5_000);
    await time.request(REQUEST);
    expect(shown.now()).toBeLessThanOrEqual(SERVER_MS + 6_000);
  });

  it('keeps its pace while the answers agree with it, however their seconds begin', async () => {
    clock = new VirtualClock({ startMs: SERVER_MS + 900 });
    time = new TimedTransport({ request: () => Promise.resolve({ status: 200, headers, body: {} }) } as never, clock);
    const shown = serverClock(time, clock);
    for (let at = 900; at < 4_000; at += 70) {
      headers = { date: new Date(SERVER_MS + at).toUTCString() };
      await time.request(REQUEST);
      expect(shown.now()).toBe(SERVER_MS + at);
      await clock.advance(70);
    }
  });

  it('shows whole milliseconds, and the time of this machine before the first answer', () => {
    clock.now = () => 7.5;
    expect(serverClock(time, clock).now()).toBe(7);
  });
});
