import { describe, expect, it } from 'vitest';
import { makeNode, makePod } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import { csiNodeOf, storageClassOf, volumeClaimOf, volumeOf } from '../../kube/project/volume.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { podFitOf, type FitQuestion } from './pod-fit.ts';

const ZONE = 'topology.kubernetes.io/zone';
const constraints = {
  hostPorts: [],
  affinity: [],
  antiAffinity: [],
  spread: [],
  volumeClaims: ['data'],
  hasResourceClaims: false,
};
const pod = makePod({ name: 'db-0', constraints });

const object = (name: string, rest: object, metadata: object = {}): KubeObject => ({
  metadata: { name, uid: name, resourceVersion: '1', ...metadata },
  ...rest,
});
const claim = (spec: object, phase = 'Pending', metadata: object = {}) =>
  volumeClaimOf(object('data', { spec, status: { phase } }, { namespace: 'default', ...metadata }));
const bound = (spec: object = {}) => claim({ volumeName: 'v', ...spec }, 'Bound');
const onlyOn = (name: string) => ({
  required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'host', operator: 'In', values: [name] }] }] },
});
const volume = (spec: object, metadata: object = {}, phase = 'Available') =>
  volumeOf(object('v', { spec, status: { phase } }, metadata));
const storage = (rest: object) => storageClassOf(object('fast', rest));
const late = { volumeBindingMode: 'WaitForFirstConsumer', provisioner: 'csi.example.com' };

/** n1 is in zone a, n2 in zone b, n3 has no zone. */
function world(): TestWorld {
  const labels = { n1: { [ZONE]: 'a' }, n2: { [ZONE]: 'b' }, n3: {} };
  const nodes = Object.entries(labels).map(([name, more]) => makeNode({ name, labels: { host: name, ...more } }));
  return new TestWorld().put('node', ...nodes);
}

function fitting(w: TestWorld, more: Partial<FitQuestion> = {}): string {
  const fit = podFitOf({ view: w.index, pod, mayTake: () => true, ...more });
  return [...w.index.nodes()].flatMap((on) => (fit?.(on) === null ? [on.node.name] : [])).join(' ');
}

describe('volumes of a pod', () => {
  const cases: Record<string, { put: (w: TestWorld) => TestWorld; want: string }> = {
    'that has no such claim': { put: (w) => w, want: '' },
    'whose claim is lost': { put: (w) => w.put('volumeClaim', claim({ volumeName: 'v' }, 'Lost')), want: '' },
    'whose claim is being deleted': {
      put: (w) =>
        w.put('volume', volume({})).put('volumeClaim', claim({ volumeName: 'v' }, 'Bound', { deletionTimestamp: 'x' })),
      want: '',
    },
    'whose volume is not known': { put: (w) => w.put('volumeClaim', bound()), want: '' },
    'that every node reaches': {
      put: (w) => w.put('volumeClaim', bound()).put('volume', volume({})),
      want: 'n1 n2 n3',
    },
    'that one node reaches': {
      put: (w) => w.put('volumeClaim', bound()).put('volume', volume({ nodeAffinity: onlyOn('n2') })),
      want: 'n2',
    },
    'whose volume is labelled with zones': {
      put: (w) => w.put('volumeClaim', bound()).put('volume', volume({}, { labels: { [ZONE]: 'a__c' } })),
      want: 'n1 n3',
    },
    'whose volume has the older label of its zone': {
      put: (w) =>
        w
          .put('volumeClaim', bound())
          .put('volume', volume({}, { labels: { 'failure-domain.beta.kubernetes.io/zone': 'b' } })),
      want: 'n2 n3',
    },
    'that is to be bound at once, and is not': {
      put: (w) =>
        w.put('volumeClaim', claim({ storageClassName: 'fast' })).put('storageClass', storage({ provisioner: 'x' })),
      want: '',
    },
    'whose class does not exist': { put: (w) => w.put('volumeClaim', claim({ storageClassName: 'fast' })), want: '' },
    'that is provisioned when the pod comes': {
      put: (w) => w.put('volumeClaim', claim({ storageClassName: 'fast' })).put('storageClass', storage(late)),
      want: 'n1 n2 n3',
    },
    'that is provisioned in some zones': {
      put: (w) =>
        w
          .put('volumeClaim', claim({ storageClassName: 'fast' }))
          .put(
            'storageClass',
            storage({ ...late, allowedTopologies: [{ matchLabelExpressions: [{ key: ZONE, values: ['b', 'c'] }] }] }),
          ),
      want: 'n2',
    },
    'that is being provisioned for a node': {
      put: (w) =>
        w.put('storageClass', storage(late)).put(
          'volumeClaim',
          claim({ storageClassName: 'fast' }, 'Pending', {
            annotations: { 'volume.kubernetes.io/selected-node': 'n3' },
          }),
        ),
      want: 'n3',
    },
  };
  for (const [sentence, { put, want }] of Object.entries(cases)) {
    it(`one ${sentence}`, () => expect(fitting(put(world()))).toBe(want));
  }

  describe('that wait for their pod, of a class that provisions none', () => {
    const local = { volumeBindingMode: 'WaitForFirstConsumer', provisioner: 'kubernetes.io/no-provisioner' };
    const wanted = claim({
      storageClassName: 'fast',
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: '10Gi' } },
    });
    const spec = {
      storageClassName: 'fast',
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '10Gi' },
      nodeAffinity: onlyOn('n2'),
    };
    const w = (overrides: object, phase = 'Available') =>
      world()
        .put('storageClass', storage(local))
        .put('volumeClaim', wanted)
        .put('volume', volume({ ...spec, ...overrides }, {}, phase));
    it('want an available one that is large enough', () => {
      expect(fitting(w({}))).toBe('n2');
      expect(fitting(w({ capacity: { storage: '9Gi' } }))).toBe('');
      expect(fitting(w({ accessModes: ['ReadOnlyMany'] }))).toBe('');
      expect(fitting(w({ storageClassName: 'slow' }))).toBe('');
      expect(fitting(w({}, 'Bound'))).toBe('');
    });
  });

  it('for a single pod are in use while one holds room, or was promised it', () => {
    const w = world()
      .put('volume', volume({}))
      .put('volumeClaim', bound({ accessModes: ['ReadWriteOncePod'] }));
    expect(fitting(w)).toBe('n1 n2 n3');
    const other = makePod({ name: 'other', nodeName: 'n1', constraints });
    w.put('pod', other);
    expect(fitting(w)).toBe('');
    expect(fitting(w, { leaving: new Set([other.uid]) })).toBe('n1 n2 n3');
    w.remove('pod', other);
    expect(fitting(w)).toBe('n1 n2 n3');
    const coming = [{ pod: makePod({ name: 'other', constraints }), node: makeNode({ name: 'n1' }) }];
    expect(fitting(w, { coming })).toBe('');
  });
});

describe('volumes that a CSI driver attaches', () => {
  const attachesTo = (name: string, count?: number) =>
    csiNodeOf(
      object(name, {
        spec: { drivers: [{ name: late.provisioner, ...(count !== undefined && { allocatable: { count } }) }] },
      }),
    );
  const attached = (name: string, volumeHandle: string) => ({
    ...volume({ csi: { driver: late.provisioner, volumeHandle } }),
    name,
    uid: name,
  });
  const claimOf = (name: string, volumeName: string) =>
    volumeClaimOf(object(name, { spec: { volumeName }, status: { phase: 'Bound' } }, { namespace: 'default' }));
  const other = makePod({ name: 'other', nodeName: 'n1', constraints: { ...constraints, volumeClaims: ['another'] } });
  /** n1 attaches one volume, n2 as many as are wanted; n3 says nothing. */
  const w = (handle: string): TestWorld =>
    world()
      .put('csiNode', attachesTo('n1', 1), attachesTo('n2'))
      .put('volume', attached('v', 'h'), attached('w', handle))
      .put('volumeClaim', claimOf('data', 'v'), claimOf('another', 'w'));

  it('are refused where the driver can attach no more', () => {
    expect(fitting(w('i'))).toBe('n1 n2 n3');
    expect(fitting(w('i').put('pod', other))).toBe('n2 n3');
    expect(fitting(w('i').put('pod', other), { leaving: new Set([other.uid]) })).toBe('n1 n2 n3');
    const coming = [{ pod: { ...other, nodeName: null }, node: makeNode({ name: 'n1' }) }];
    expect(fitting(w('i'), { coming })).toBe('n2 n3');
  });

  it('count once for all the pods of a node', () => {
    expect(fitting(w('h').put('pod', other))).toBe('n1 n2 n3');
    expect(fitting(w('h').put('pod', other).put('csiNode', attachesTo('n1', 0)))).toBe('n1 n2 n3');
  });

  it('count before they exist, by the class that provisions them', () => {
    const unbound = w('i')
      .put('pod', other)
      .put('storageClass', storage(late))
      .put('volumeClaim', claim({ storageClassName: 'fast' }));
    expect(fitting(unbound)).toBe('n2 n3');
  });
});
