import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CUSTOM } from './owners/custom.ts';
import { JOBS } from './owners/jobs.ts';
import type { Rows } from './owners/objects.ts';
import { REPLICATED } from './owners/replicated.ts';
import { OwnerRow } from './owners/row.ts';
import { STATEFUL } from './owners/stateful.ts';
import { Lab } from './story/lab.ts';
import { policy } from './story/workloads.ts';

/**
 * Each kind of owner whose pods are displaced, and what happens to it while they wait. All side by side, each on a node of its own, so that
 * nothing but the owner tells who continues what. What `story.test.ts` shows is not repeated.
 */
const OWNERS: Readonly<Record<string, Rows>> = {
  'a Job': JOBS,
  'replicated pods': REPLICATED,
  'a StatefulSet': STATEFUL,
  'a controller of an unknown kind': CUSTOM,
};
const ROWS = Object.values(OWNERS).flatMap((rows) => Object.values(rows));

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.start(ROWS.length);
  await lab.cluster.applyObjects(policy('batch', 'batch'), rankedJobs, byRank);
  await lab.cluster.kubectl('wait', '--for=condition=Established', 'crd', 'rankedjobs.example.com', '--timeout=60s');
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

const rankedJobs = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'rankedjobs.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'rankedjobs', singular: 'rankedjob', kind: 'RankedJob' },
    versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
  },
};
/** For pods that have a rank. */
const byRank = {
  apiVersion: 'reprieve.dev/v1alpha1',
  kind: 'ReprievePolicy',
  metadata: { name: 'ranked' },
  spec: {
    precedence: 5,
    match: { podSelector: { matchExpressions: [{ key: 'rank', operator: 'Exists' }] } },
    preemption: { decision: 'Always', onFailure: 'Refuse', maxDelay: '60s' },
    restore: { identityLabels: ['rank'] },
  },
};

for (const [owner, rows] of Object.entries(OWNERS)) {
  describe.concurrent(owner, () => {
    for (const [what, play] of Object.entries(rows)) {
      const number = ROWS.indexOf(play) + 1;
      const row = (): OwnerRow => new OwnerRow(lab, `row-${String(number).padStart(2, '0')}`, `node-${number}`);
      it(what, async () => {
        expect(await play(row())).toBeUndefined();
      });
    }
  });
}
