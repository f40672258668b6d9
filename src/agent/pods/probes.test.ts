import { describe, expect, it } from 'vitest';
import { longestFreezeMs } from './probes.ts';

const pod = (...containers: object[]) => ({ metadata: { name: 'a' }, spec: { containers } });

describe('longestFreezeMs', () => {
  it.each([
    ['no probe', pod({}), null],
    ['a readiness probe only', pod({ readinessProbe: { periodSeconds: 1 } }), null],
    ['the defaults', pod({ livenessProbe: {} }), 20_000],
    ['its own numbers', pod({ livenessProbe: { periodSeconds: 5, failureThreshold: 6 } }), 25_000],
    ['one failure that is enough', pod({ livenessProbe: { failureThreshold: 1 } }), 0],
    ['two containers: the stricter counts', pod({ livenessProbe: {} }, { livenessProbe: { periodSeconds: 2 } }), 4_000],
  ])('with %s', (_, object, wanted) => {
    expect(longestFreezeMs(object)).toBe(wanted);
  });

  it('counts sidecars', () => {
    const spec = { containers: [{}], initContainers: [{ livenessProbe: { periodSeconds: 3 } }] };
    expect(longestFreezeMs({ metadata: { name: 'a' }, spec })).toBe(6_000);
  });
});
