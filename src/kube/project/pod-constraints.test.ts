import { describe, expect, it } from 'vitest';
import { constraintsOf } from './pod-constraints.ts';

const pod = { namespace: 'team', name: 'web-0', labels: { app: 'web', revision: '7' } };
const of = (spec: object) => constraintsOf(spec, pod);
const matchLabels = { app: 'web' };
const selector = { requirements: [{ key: 'app', operator: 'In', values: ['web'] }] };

describe('constraintsOf', () => {
  it('finds none in most pods', () => {
    expect(
      of({ containers: [{ name: 'c', ports: [{ containerPort: 80 }] }], volumes: [{ name: 'v', emptyDir: {} }] }),
    ).toBeNull();
    expect(constraintsOf(undefined, pod)).toBeNull();
  });

  it('reads host ports of containers that run side by side', () => {
    const ports = (hostPort: number, more: object = {}) => [{ containerPort: 80, hostPort, ...more }];
    const spec = {
      containers: [{ name: 'c', ports: ports(80) }],
      initContainers: [
        { name: 'sidecar', restartPolicy: 'Always', ports: ports(81, { protocol: 'UDP', hostIP: '10.0.0.1' }) },
        { name: 'init', ports: ports(82) },
      ],
    };
    expect(of(spec)?.hostPorts).toEqual([
      { port: 80, protocol: 'TCP', ip: '0.0.0.0' },
      { port: 81, protocol: 'UDP', ip: '10.0.0.1' },
    ]);
  });

  it('reads required terms, with the namespaces that they mean', () => {
    const required = (...terms: object[]) => ({ requiredDuringSchedulingIgnoredDuringExecution: terms });
    const topologyKey = 'zone';
    const affinity = {
      podAffinity: required({ topologyKey, labelSelector: { matchLabels } }, { topologyKey, namespaceSelector: {} }),
      podAntiAffinity: required({ topologyKey, labelSelector: { matchLabels }, namespaces: ['a'] }),
    };
    expect(of({ affinity })).toMatchObject({
      affinity: [
        { selector, namespaces: ['team'], namespaceSelector: null, topologyKey },
        { selector: null, namespaces: [], namespaceSelector: { requirements: [] }, topologyKey },
      ],
      antiAffinity: [{ selector, namespaces: ['a'], namespaceSelector: null, topologyKey }],
    });
    const preferred = { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1 }] };
    expect(of({ affinity: { podAffinity: preferred, podAntiAffinity: preferred } })).toBeNull();
  });

  it('reads the topology spread that must hold', () => {
    const given = { maxSkew: 2, topologyKey: 'zone', labelSelector: { matchLabels } };
    const topologySpreadConstraints = [
      {
        ...given,
        whenUnsatisfiable: 'DoNotSchedule',
        matchLabelKeys: ['revision', 'missing'],
        nodeTaintsPolicy: 'Honor',
      },
      { ...given, whenUnsatisfiable: 'ScheduleAnyway' },
    ];
    expect(of({ topologySpreadConstraints })?.spread).toEqual([
      {
        maxSkew: 2,
        topologyKey: 'zone',
        selector: { requirements: [...selector.requirements, { key: 'revision', operator: 'In', values: ['7'] }] },
        minDomains: 1,
        honorsAffinity: true,
        honorsTaints: true,
      },
    ]);
  });

  it('reads claims, those of ephemeral volumes by the name that their controller gives them', () => {
    const volumes = [
      { name: 'data', persistentVolumeClaim: { claimName: 'data-web-0' } },
      { name: 'tmp', ephemeral: {} },
    ];
    expect(of({ volumes })?.volumeClaims).toEqual(['data-web-0', 'web-0-tmp']);
    expect(of({ resourceClaims: [{ name: 'gpu' }] })?.hasResourceClaims).toBe(true);
  });
});
