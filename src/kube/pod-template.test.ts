import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { handedOver } from './given-fields.ts';
import { podTemplateOf } from './pod-template.ts';
import { restoreShapeOf } from './project/restore-shape.ts';
import type { KubeObject, ManagedFields } from './transport.ts';

/**
 * Pods as kube-apiserver 1.37 had them, without their status. `created`: made by `kubectl create`, then `kubectl set image` of the
 * container and of one that a webhook had injected, and `kubectl debug`. `served`: made by server-side apply of `gitops`, then annotated
 * by `cni`, by `multus` through the status, and labelled by kubectl. A webhook injected a container and an annotation into both.
 */
function recorded(name: 'created' | 'served', change: object = {}): KubeObject {
  const path = new URL(`../../test/fixtures/pods/${name}.json`, import.meta.url);
  const pod = JSON.parse(readFileSync(path, 'utf8')) as KubeObject;
  return { ...pod, metadata: { ...pod.metadata, ...change } };
}

interface Spec {
  readonly containers: readonly { readonly name: string; readonly image: string }[];
  readonly volumes: readonly { readonly name: string }[];
}

describe('the template of a bare pod', () => {
  it('holds what the creators gave, and neither what admission, a network plugin or a node added', () => {
    const { metadata, spec } = podTemplateOf(recorded('served'));
    expect(metadata).toMatchObject({
      labels: { app: 'x', team: 'x' },
      annotations: { 'sim.reprieve.dev/memory': '50Mi' },
      finalizers: ['example.com/accounting'],
    });
    expect(Object.keys(metadata.annotations ?? {})).toEqual(['sim.reprieve.dev/memory']);
    expect(Object.keys(spec).toSorted()).toEqual([
      'affinity',
      'automountServiceAccountToken',
      'containers',
      'priorityClassName',
      'restartPolicy',
      'terminationGracePeriodSeconds',
      'tolerations',
      'volumes',
    ]);
    const { containers, volumes } = spec as unknown as Spec;
    expect(containers).toEqual([
      {
        name: 'main',
        image: 'registry.example/worker:1',
        command: ['a', 'b'],
        args: ['x'],
        env: [
          { name: 'A', value: '1' },
          { name: 'N', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'spec.nodeName' } } },
        ],
        ports: [{ containerPort: 80, protocol: 'TCP' }],
        volumeMounts: [{ name: 'conf', mountPath: '/conf' }],
        livenessProbe: { exec: { command: ['true'] } },
        resources: { requests: { cpu: '300m', memory: '256Mi' } },
        securityContext: { capabilities: { add: ['NET_ADMIN'] } },
      },
    ]);
    expect(volumes).toEqual([{ name: 'conf', configMap: { name: 'c', optional: true } }]);
  });

  it('has the image that runs, whoever set it, and no container that its creators did not give', () => {
    const { containers } = podTemplateOf(recorded('created')).spec as unknown as Spec;
    expect(containers.map(({ name, image }) => [name, image])).toEqual([['main', 'registry.example/worker:2']]);
  });

  it('keeps every owner reference', () => {
    const ownerReferences = [
      { apiVersion: 'v1', kind: 'ConfigMap', name: 'session', uid: 'c', blockOwnerDeletion: true },
    ];
    expect(podTemplateOf(recorded('created', { ownerReferences })).metadata.ownerReferences).toEqual(ownerReferences);
  });

  it('holds everything but the token volume, node and debug containers where nothing shows who created the pod', () => {
    const pod = recorded('created', { managedFields: [] });
    const { metadata, spec } = podTemplateOf(pod);
    expect(metadata).toEqual({ labels: pod.metadata.labels, annotations: pod.metadata.annotations });
    const { containers, volumes } = spec as unknown as Spec;
    expect(containers.map(({ name }) => name)).toEqual(['main', 'proxy']);
    expect(volumes.map(({ name }) => name)).toEqual(['conf']);
    expect(spec).not.toHaveProperty('nodeName');
    expect(spec).not.toHaveProperty('ephemeralContainers');
    expect(restoreShapeOf({ ...pod, spec })).toBe(restoreShapeOf(pod));
  });
});

describe('the fields of a pod that was made again', () => {
  const managersOf = (pod: KubeObject): readonly ManagedFields[] => podTemplateOf(pod).metadata.managedFields ?? [];
  const ours: ManagedFields = {
    manager: 'reprieve',
    operation: 'Update',
    apiVersion: 'v1',
    fieldsType: 'FieldsV1',
    fieldsV1: {
      'f:metadata': {
        'f:annotations': { '.': {}, 'f:sim.reprieve.dev/memory': {}, 'f:reprieve.dev/ticket': {} },
        'f:labels': { '.': {}, 'f:app': {}, 'f:team': {} },
      },
      'f:spec': {
        'f:containers': { 'k:{"name":"main"}': { '.': {}, 'f:name': {}, 'f:image': {} } },
        'f:runtimeClassName': {},
        'f:schedulingGates': { '.': {}, 'k:{"name":"reprieve.dev/restore"}': { '.': {}, 'f:name': {} } },
      },
    },
  };

  it('are those of its creators again, and only what Reprieve added is its own', () => {
    const managers = managersOf(recorded('served'));
    const handed = handedOver(recorded('served', { managedFields: [ours] }), managers);
    expect(handed?.map(({ manager, operation }) => [manager, operation])).toEqual([
      ['gitops', 'Apply'],
      ['kubectl-label', 'Update'],
      ['reprieve', 'Update'],
    ]);
    expect(handed?.[0]?.fieldsV1).toEqual(recorded('served').metadata.managedFields?.[0]?.fieldsV1);
    expect(handed?.[2]?.fieldsV1).toEqual({
      'f:metadata': { 'f:annotations': { 'f:reprieve.dev/ticket': {} } },
      'f:spec': {
        'f:runtimeClassName': {},
        'f:schedulingGates': { '.': {}, 'k:{"name":"reprieve.dev/restore"}': { '.': {}, 'f:name': {} } },
      },
    });
    expect(handedOver(recorded('served', { managedFields: handed }), managers)).toBeNull();
  });

  it('stay as they are in a pod that somebody else made', () => {
    expect(handedOver(recorded('served'), managersOf(recorded('created')))).toBeNull();
  });

  it('are given back by the next ticket as well', () => {
    const managers = managersOf(recorded('served'));
    const managedFields = handedOver(recorded('served', { managedFields: [ours] }), managers) ?? [];
    const [first, again] = [recorded('served'), recorded('served', { managedFields })].map(podTemplateOf);
    expect(again?.spec).toEqual({ ...first?.spec });
    expect(again?.metadata.labels).toEqual(first?.metadata.labels);
  });
});
