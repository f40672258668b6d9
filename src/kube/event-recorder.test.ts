import { beforeEach, describe, expect, it } from 'vitest';
import type { ClusterEventRecord } from '../ports/cluster-writer.ts';
import { ApiServer } from '../sim/api-server/api-server.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { KubeClient } from './client.ts';
import { EventRecorder } from './event-recorder.ts';
import { RESOURCES } from './resources.ts';

let clock: VirtualClock;
let server: ApiServer;
let recorder: EventRecorder;

beforeEach(() => {
  clock = new VirtualClock({ startMs: Date.UTC(2026, 0, 1, 12, 0, 0, 7) });
  server = new ApiServer({ clock });
  recorder = new EventRecorder({ client: new KubeClient(server), clock, instance: 'reprieve-0' });
});

const event = (more: Partial<ClusterEventRecord> = {}): ClusterEventRecord => ({
  regarding: { kind: 'Pod', namespace: 'default', name: 'web-0', uid: 'u1' },
  related: { kind: 'Reprieve', namespace: 'default', name: 'web-0-t', uid: 'u2' },
  type: 'Normal',
  reason: 'Saved',
  action: 'Checkpoint',
  message: 'its state is saved',
  ...more,
});
const stored = () => server.list(RESOURCES.events) as readonly Record<string, unknown>[];

describe('EventRecorder', () => {
  it('writes what the API asks of a core/v1 Event', async () => {
    recorder.emit(event());
    await recorder.flush();
    expect(stored()).toMatchObject([
      {
        metadata: { namespace: 'default' },
        involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: 'web-0', uid: 'u1' },
        related: { apiVersion: 'reprieve.dev/v1alpha1', kind: 'Reprieve', name: 'web-0-t' },
        reportingComponent: 'reprieve',
        reportingInstance: 'reprieve-0',
        eventTime: '2026-01-01T12:00:00.007000Z',
        type: 'Normal',
        reason: 'Saved',
        action: 'Checkpoint',
        count: 1,
      },
    ]);
  });

  it('counts an event that repeats itself, and begins a new one after a while', async () => {
    recorder.emit(event());
    recorder.emit(event());
    await recorder.flush();
    await clock.advance(60_000);
    recorder.emit(event());
    await recorder.flush();
    expect(stored()).toMatchObject([
      { count: 3, lastTimestamp: '2026-01-01T12:01:00Z', firstTimestamp: '2026-01-01T12:00:00Z' },
    ]);
    recorder.emit(event({ message: 'another' }));
    await clock.advance(601_000);
    recorder.emit(event());
    await recorder.flush();
    expect(stored().map(({ count }) => count)).toEqual([3, 1, 1]);
  });

  it('tries again when the server is not there, and gives up in silence', async () => {
    let left = 2;
    server.hooks.intercept = () => Promise.resolve(left-- > 0 ? 'reset' : null);
    recorder.emit(event());
    await clock.advance(10_000);
    await recorder.flush();
    expect(stored()).toHaveLength(1);
    server.hooks.intercept = () => Promise.resolve('reset');
    recorder.emit(event({ message: 'lost' }));
    await clock.advance(60_000);
    await recorder.flush();
    expect(recorder.dropped).toBe(1);
  });

  it('does not write twice when an answer was lost', async () => {
    let left = 1;
    server.hooks.intercept = () => Promise.resolve(left-- > 0 ? 'reset-after' : null);
    recorder.emit(event());
    await clock.advance(10_000);
    await recorder.flush();
    expect(stored()).toHaveLength(1);
    expect(recorder.dropped).toBe(0);
  });

  it('shortens what the API would refuse', async () => {
    recorder.emit(
      event({
        message: `x${'€'.repeat(1000)}`,
        regarding: { kind: 'Pod', namespace: 'default', name: 'n'.repeat(253), uid: 'u' },
      }),
    );
    await recorder.flush();
    const [{ message }] = stored() as [{ message: string }];
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(1024);
    expect(message).toMatch(/^x€+…$/);
    expect(recorder.dropped).toBe(0);
  });

  it('keeps a bounded queue while nothing gets through', async () => {
    server.hooks.intercept = () => Promise.resolve('reset');
    for (let i = 0; i < 1500; i++) recorder.emit(event({ message: String(i) }));
    expect(recorder.dropped).toBeGreaterThanOrEqual(499);
    server.hooks.intercept = () => Promise.resolve(null);
    await clock.advance(10_000);
    await recorder.flush();
    expect(stored().length).toBe(1500 - recorder.dropped);
  });
});
