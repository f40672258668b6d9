import type { V1Pod } from '@kubernetes/client-node';
import { describe, expect, it } from 'vitest';
import type { Resources } from '../../domain/resources.ts';
import { podRequestsOf } from './pod-requests.ts';
import type { Wire } from './wire.ts';

const MI = 1024 * 1024;

function container(cpu: string | null, memory: string | null, more: object = {}): object {
  return { name: 'c', resources: { requests: { ...(cpu && { cpu }), ...(memory && { memory }) } }, ...more };
}

const CASES: Record<string, { given: object; want: Partial<Resources> }> = {
  'a pod without anything takes one place': { given: {}, want: { cpuMilli: 0, memoryBytes: 0, pods: 1 } },
  'containers add up': {
    given: { spec: { containers: [container('500m', '64Mi'), container('1', '1Gi')] } },
    want: { cpuMilli: 1500, memoryBytes: 1088 * MI, pods: 1 },
  },
  'an init container counts where it is larger': {
    given: { spec: { containers: [container('500m', '64Mi')], initContainers: [container('2', '32Mi')] } },
    want: { cpuMilli: 2000, memoryBytes: 64 * MI },
  },
  'a sidecar runs beside the containers, and beside the init containers after it': {
    given: {
      spec: {
        containers: [container('1', '100Mi')],
        initContainers: [container('100m', '10Mi', { restartPolicy: 'Always' }), container('3', '20Mi')],
      },
    },
    want: { cpuMilli: 3100, memoryBytes: 110 * MI },
  },
  'an init container before the sidecar runs alone': {
    given: {
      spec: {
        containers: [container('1', '100Mi')],
        initContainers: [container('3', '20Mi'), container('100m', '10Mi', { restartPolicy: 'Always' })],
      },
    },
    want: { cpuMilli: 3000, memoryBytes: 110 * MI },
  },
  'overhead is added': {
    given: { spec: { containers: [container('1', '64Mi')], overhead: { cpu: '250m', memory: '1Mi' } } },
    want: { cpuMilli: 1250, memoryBytes: 65 * MI },
  },
  'pod-level requests replace the sum': {
    given: { spec: { containers: [container('1', '64Mi')], resources: { requests: { cpu: '4' } } } },
    want: { cpuMilli: 4000, memoryBytes: 64 * MI },
  },
  'extended resources are kept by name': {
    given: { spec: { containers: [{ name: 'c', resources: { requests: { 'nvidia.com/gpu': '2', cpu: '1' } } }] } },
    want: { cpuMilli: 1000, extended: { 'nvidia.com/gpu': 2 } },
  },
  'a pod that is being resized still takes what its node gives it': {
    given: {
      spec: { containers: [container('1', '64Mi')] },
      status: {
        conditions: [{ type: 'PodResizeInProgress', status: 'True' }],
        containerStatuses: [{ name: 'c', resources: { requests: { cpu: '2', memory: '32Mi' } } }],
      },
    },
    want: { cpuMilli: 2000, memoryBytes: 64 * MI },
  },
};

describe('podRequestsOf', () => {
  it.each(Object.entries(CASES))('%s', (_, { given, want }) => {
    expect(podRequestsOf(given as Wire<V1Pod>)).toMatchObject(want);
  });
});
