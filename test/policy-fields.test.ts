import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { comparePolicies } from '../src/domain/protection.ts';
import type { Policy } from '../src/domain/policy.ts';
import { checkpointObject } from '../src/kube/checkpoint-object.ts';
import { reprievePolicy } from '../src/kube/crd/reprieve-policy.ts';
import type { JsonSchema } from '../src/kube/crd/schema.ts';
import { policyOf } from '../src/kube/project/policy.ts';
import { GI, makeCheckpoint, makeNode, makePod, makePolicy, makeResources } from './support/builders.ts';
import { askGuard } from './support/guard.ts';
import { TestWorld } from './support/world.ts';

/**
 * What the engine only hands on is acted on elsewhere: leaf of the policy -> the test that shows it. A field of which no test can
 * be named here does nothing, and does not belong into the schema.
 */
const ACTED_ON: Readonly<Record<string, { readonly file: string; readonly test: string }>> = {
  'checkpoint.sockets': {
    file: 'src/agent/checkpointer/criu-checkpointer.test.ts',
    test: 'is refused with sockets: Refuse',
  },
  'checkpoint.volumes': { file: 'src/agent/checkpointer/dump.test.ts', test: 'leaves volumes and shared memory out' },
  'store.maxBytes': { file: 'src/agent/checkpointer/size-limit.test.ts', test: 'ends a dump that becomes too large' },
  'restore.nodes': {
    file: 'src/engine/return/return.test.ts',
    test: 'restores on the same node where the policy says so',
  },
  'restore.attempts': { file: 'src/engine/return/failed-restore.test.ts', test: 'is tried on another node' },
  'restore.onFailure': {
    file: 'src/agent/restore/restore-desk.test.ts',
    test: 'never starts one cold that must be held',
  },
  'restore.identityLabels': {
    file: 'src/engine/return/claims.test.ts',
    test: 'is the pod with the same values of the labels that the policy names',
  },
  'restore.maxWait': { file: 'src/engine/return/return.test.ts', test: 'abandons what nobody came to continue' },
};

interface Leaf {
  readonly path: string;
  /** Values that are not its default, one for each thing it can say. */
  readonly others: readonly unknown[];
}

/** Every field of the schema that holds a value of its own. A label selector is one value. */
function leavesIn(schema: JsonSchema, path: string): readonly Leaf[] {
  const { properties } = schema as { readonly properties?: Readonly<Record<string, JsonSchema>> };
  if (properties === undefined || schema['x-kubernetes-map-type'] === 'atomic')
    return [{ path, others: otherValues(schema) }];
  return Object.entries(properties).flatMap(([name, child]) => leavesIn(child, path === '' ? name : `${path}.${name}`));
}

function otherValues(schema: JsonSchema): readonly unknown[] {
  const {
    type,
    default: own,
    enum: words,
  } = schema as {
    readonly type: string;
    readonly default?: unknown;
    readonly enum?: readonly string[];
  };
  if (words !== undefined) return words.filter((word) => word !== own);
  if (type === 'integer') return [(own as number) + 1];
  if (type === 'array') return [['other']];
  if (type === 'object') return [{ matchLabels: { other: 'yes' } }];
  return [JSON.stringify(schema).includes('duration(self)') ? '5m' : '1Mi'];
}

function specWith(path: string, value: unknown): object {
  const [first = '', ...rest] = path.split('.');
  return { [first]: rest.length === 0 ? value : specWith(rest.join('.'), value) };
}

const policyWith = (spec: object): Policy =>
  policyOf({ metadata: { name: 'p', uid: 'p', creationTimestamp: LATER }, spec });
const LATER = '2026-01-01T00:00:00Z';
const LONG_AGO_MS = -10_000_000;

/** All that the engine decides and writes for a pod that has worked for hours and for one that has just begun. */
function effectOf(policy: Policy): unknown {
  const high = makePod({ name: 'high', priority: 1000 });
  const requests = makeResources({ cpuMilli: 1000, memoryBytes: 6 * GI });
  return ['old', 'young'].map((name) => {
    const pod = makePod({
      name,
      nodeName: 'n1',
      priority: 10,
      startMs: name === 'old' ? LONG_AGO_MS : 9_900,
      requests,
    });
    const saved = makeCheckpoint({ podUid: pod.uid, owner: null, keepFrozen: false, ready: true, takenMs: 9_000 });
    const world = new TestWorld().put('node', makeNode()).put('pod', pod, high).put('policy', policy);
    world.put('checkpoint', saved);
    const { opened, verdict } = world.preempt(high, { n1: [pod] });
    const { commands, wakeAtMs } = world.steps();
    const [victim] = opened?.pods ?? [];
    const order = { namespace: 'default', name: 'c', pod, node: makeNode().name, reason: 'Preemption' as const };
    const rules = victim?.terms?.checkpoint ?? null;
    const spec = rules && checkpointObject({ ...order, ticket: 't', keepFrozen: true, deadlineMs: 0, rules }).spec;
    const rank = Math.sign(comparePolicies(policy, makePolicy()));
    return {
      opened,
      verdict,
      commands,
      wakeAtMs: opened === null ? wakeAtMs : null,
      spec,
      rank,
      kept: keptUntil(world),
      drained: drained(policy),
    };
  });
}

/** What the guard answers when a pod behind a Service is evicted from its node. */
function drained(policy: Policy): unknown {
  const pod = makePod({ name: 'web', nodeName: 'n1', priority: 10, labels: { app: 'web' }, ready: true });
  const service = { namespace: 'default', name: 'web', uid: 'web', resourceVersion: '1', selector: { app: 'web' } };
  const world = new TestWorld()
    .put('node', makeNode({ unschedulable: true }))
    .put('pod', pod)
    .put('service', service);
  const { namespace, name } = pod;
  const who = { requester: 'admin', why: '', isEnding: false, dryRun: false };
  return askGuard(world.put('policy', policy), { by: 'Eviction', namespace, name, uid: null, ...who });
}

/** When retention is to look again at the checkpoint that a user made. */
function keptUntil(world: TestWorld): number {
  for (const displacement of world.book.all()) world.book.close(displacement);
  return world.steps().wakeAtMs;
}

describe('every field of a policy', () => {
  const leaves = leavesIn(reprievePolicy.spec.json, '');
  const plain = JSON.stringify(effectOf(policyWith({})));

  it('is found in the schema', () => expect(leaves.map(({ path }) => path)).toContain('store.maxBytes'));

  for (const { path, others } of leaves) {
    for (const value of others) {
      it(`does something: ${path}: ${JSON.stringify(value)}`, () => {
        expect(JSON.stringify(effectOf(policyWith(specWith(path, value))))).not.toBe(plain);
      });
    }
  }

  for (const { path } of leaves.filter(({ path }) => /^(?:checkpoint|store\.maxBytes|restore)/.test(path))) {
    it(`is acted on where it is handed to: ${path}`, () => {
      const acted = ACTED_ON[path];
      expect(acted, `name the test that shows what ${path} does`).toBeDefined();
      const text = readFileSync(join(import.meta.dirname, '..', acted?.file ?? ''), 'utf8');
      expect(text.includes(acted?.test ?? ''), `${acted?.file} has no test '${acted?.test}'`).toBe(true);
    });
  }
});
