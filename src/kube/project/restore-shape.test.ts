import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differingFields } from '../../domain/restore-shape.ts';
import type { KubeObject } from '../transport.ts';
import { restoreShapeOf } from './restore-shape.ts';

const tokenVolume = (name: string) => ({ name, projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } });
const tokenMount = (name: string) => ({
  name,
  mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
  readOnly: true,
});

interface Template {
  readonly containers: readonly { readonly name: string; readonly [field: string]: unknown }[];
  readonly volumes: readonly object[];
  readonly [field: string]: unknown;
}

/** What the API server and its admission make of a template for one pod. */
function admitted(template: Template, suffix: string, changes: object = {}): KubeObject {
  const token = `kube-api-access-${suffix}`;
  return {
    metadata: { name: `web-${suffix}`, namespace: 'default', uid: suffix },
    spec: {
      ...template,
      containers: template.containers.map((container) => ({
        ...container,
        volumeMounts: [...((container['volumeMounts'] as object[] | undefined) ?? []), tokenMount(token)],
      })),
      volumes: [...template.volumes, tokenVolume(token)],
      ...changes,
    },
  };
}

const template = fc.record({
  containers: fc.uniqueArray(
    fc.record(
      {
        name: fc.constantFrom('a', 'b', 'c', 'd'),
        image: fc.string(),
        command: fc.array(fc.string()),
        args: fc.array(fc.string()),
        env: fc.array(fc.record({ name: fc.string(), value: fc.string() })),
        securityContext: fc.record({ runAsUser: fc.nat(), privileged: fc.boolean() }, { requiredKeys: [] }),
        volumeMounts: fc.array(fc.record({ name: fc.constant('data'), mountPath: fc.string() })),
      },
      { requiredKeys: ['name', 'image'] },
    ),
    { selector: ({ name }) => name, minLength: 1 },
  ),
  volumes: fc.array(fc.record({ name: fc.constant('data'), emptyDir: fc.constant({}) })),
  securityContext: fc.record({ fsGroup: fc.nat() }, { requiredKeys: [] }),
});

const base: Template = {
  containers: [
    { name: 'main', image: 'app:1', command: ['/app'], volumeMounts: [{ name: 'data', mountPath: '/data' }] },
  ],
  volumes: [{ name: 'data', emptyDir: {} }],
};
const [main] = base.containers;

describe('restoreShapeOf', () => {
  it('is one for all pods of a template, whatever the webhook and the scheduler add', () => {
    fc.assert(
      fc.property(template, (given) => {
        const victim = admitted(given, 'aaaaa', { nodeName: 'n1', priority: 10 });
        const replacement = admitted(given, 'bbbbb', {
          schedulingGates: [{ name: 'reprieve.dev/restore' }],
          runtimeClassName: 'reprieve',
        });
        expect(restoreShapeOf(replacement)).toBe(restoreShapeOf(victim));
      }),
    );
  });

  it('does not depend on order, nor on how "nothing" is written', () => {
    const other = { ...base, securityContext: {}, hostNetwork: false, initContainers: [] };
    expect(restoreShapeOf(admitted(other, 'a'))).toBe(restoreShapeOf(admitted(base, 'b')));
    const two = [
      { name: 'x', image: 'i' },
      { name: 'y', image: 'j' },
    ];
    expect(restoreShapeOf(admitted({ ...base, containers: two }, 'a'))).toBe(
      restoreShapeOf(admitted({ ...base, containers: two.toReversed() }, 'b')),
    );
  });

  it.each<[string, object]>([
    ['image', { containers: [{ ...main, image: 'app:2' }] }],
    ['name', { containers: [{ ...main, name: 'other' }] }],
    ['command', { containers: [{ ...main, command: ['/bin/sh'] }] }],
    ['args', { containers: [{ ...main, args: ['-x'] }] }],
    ['user', { containers: [{ ...main, securityContext: { runAsUser: 0 } }] }],
    ['mounts', { containers: [{ ...main, volumeMounts: [{ name: 'data', mountPath: '/other' }] }] }],
    ['another container', { containers: [main, { name: 'more', image: 'i' }] }],
    ['init containers', { initContainers: [{ name: 'init', image: 'i' }] }],
    ['pod security context', { securityContext: { fsGroup: 1 } }],
    ['host network', { hostNetwork: true }],
    ['shared pid namespace', { shareProcessNamespace: true }],
    ['env', { containers: [{ ...main, env: [{ name: 'RANK', value: '1' }] }] }],
    ['env valueFrom', { containers: [{ ...main, env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'x' } } }] }] }],
    ['envFrom', { containers: [{ ...main, envFrom: [{ configMapRef: { name: 'settings' } }] }] }],
    ['lifecycle', { containers: [{ ...main, lifecycle: { preStop: { sleep: { seconds: 5 } } } }] }],
    ['hostname', { hostname: 'web-1' }],
    ['subdomain', { subdomain: 'web' }],
    ['serviceAccountName', { serviceAccountName: 'other' }],
    ['volumes', { volumes: [{ name: 'data', hostPath: { path: '/' } }] }],
  ])('differs with %s', (_, change) => {
    expect(restoreShapeOf(admitted({ ...base, ...change }, 'a'))).not.toBe(restoreShapeOf(admitted(base, 'a')));
  });

  it('tells which fields differ', () => {
    const shape = (change: object) => restoreShapeOf(admitted({ ...base, ...change }, 'a'));
    const changed = { ...main, image: 'app:2', env: [{ name: 'RANK', value: '1' }] } as Template['containers'][number];
    expect(differingFields(shape({}), shape({ containers: [changed], hostname: 'h' }))).toEqual([
      'image',
      'env',
      'hostname',
    ]);
    expect(differingFields(shape({}), shape({}))).toEqual([]);
    expect(differingFields('a'.repeat(64), shape({}))).toEqual([]);
  });

  it('does not leave out a volume that only calls itself a token volume', () => {
    const disguised = { ...base, volumes: [...base.volumes, { name: 'kube-api-access-x', hostPath: { path: '/' } }] };
    expect(restoreShapeOf(admitted(disguised, 'a'))).not.toBe(restoreShapeOf(admitted(base, 'a')));
  });
});
