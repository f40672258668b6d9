import { describe, expect, it } from 'vitest';
import type { NodeName, PodUid } from '../domain/ids.ts';
import type {
  ExtenderCallbacks,
  FilterRequest,
  PreemptCandidate,
  PreemptRequest,
} from '../engine/preemption/callbacks.ts';
import { handleExtender, type ExtenderVerb } from './extender-handler.ts';

const POD = { metadata: { name: 'serving-0', namespace: 'default', uid: 'uid-serving', creationTimestamp: null } };
const NODES = {
  metadata: {},
  items: [{ metadata: { name: 'n1', labels: null }, spec: { taints: [null] } }, { metadata: { name: 'n2' } }],
};

const node = (name: string): NodeName => name as NodeName;
const uid = (name: string): PodUid => name as PodUid;

function makeCallbacks(overrides: Partial<ExtenderCallbacks> = {}): ExtenderCallbacks {
  return {
    filter: () => ({ refused: new Map() }),
    prioritize: () => ({ scores: new Map() }),
    preempt: ({ candidates }) => ({
      reason: 'NothingProtected',
      candidates,
      node: null,
      displacementId: null,
      saving: 0,
    }),
    admitPod: async () => ({ gate: false, reason: 'NoTicket' }),
    guard: () => ({ allowed: true, reason: 'NotProtected' }),
    ...overrides,
  };
}

function call(verb: ExtenderVerb, body: unknown, overrides: Partial<ExtenderCallbacks> = {}) {
  const answer = handleExtender(makeCallbacks(overrides), verb, JSON.stringify(body));
  return { ...answer, json: JSON.parse(answer.body) as unknown };
}

describe('a pod that two calls in a row are about', () => {
  const bodyOf = (spec: object): Buffer =>
    Buffer.from(`{"Pod":${JSON.stringify({ ...POD, spec })},"Nodes":null,"NodeNames":["n1"]}`);

  it('is the same to both where they say the same of it, and another one where they do not', () => {
    const priorities: number[] = [];
    const callbacks = makeCallbacks({
      filter: ({ pod }) => {
        priorities.push(pod.priority);
        return { refused: new Map() };
      },
      prioritize: ({ pod }) => {
        priorities.push(pod.priority);
        return { scores: new Map() };
      },
    });
    for (const priority of [1, 2, 3]) {
      expect(handleExtender(callbacks, 'filter', bodyOf({ priority })).status).toBe(200);
      expect(handleExtender(callbacks, 'prioritize', bodyOf({ priority })).status).toBe(200);
    }
    expect(priorities).toEqual([1, 1, 2, 2, 3, 3]);
    expect(handleExtender(callbacks, 'prioritize', bodyOf({ priority: 'high' })).status).toBe(400);
    expect(handleExtender(callbacks, 'prioritize', bodyOf({ priority: 'high' })).status).toBe(400);
  });
});

describe('filter', () => {
  const refuseN2 = { filter: () => ({ refused: new Map([[node('n2'), 'reserved']]) }) };

  it('gives the names back, and says of the others why not', () => {
    expect(call('filter', { Pod: POD, Nodes: null, NodeNames: ['n1', 'n2'] }, refuseN2).json).toEqual({
      NodeNames: ['n1'],
      FailedNodes: {},
      FailedAndUnresolvableNodes: { n2: 'reserved' },
      Error: '',
    });
  });

  it('gives whole nodes back where it got them, without nulls', () => {
    expect(call('filter', { Pod: POD, Nodes: NODES, NodeNames: null }, refuseN2).json).toEqual({
      Nodes: { metadata: {}, items: [{ metadata: { name: 'n1' }, spec: { taints: [] } }] },
      FailedNodes: {},
      FailedAndUnresolvableNodes: { n2: 'reserved' },
      Error: '',
    });
  });

  it('answers names where there are no nodes at all', () => {
    expect(call('filter', { Pod: POD }).json).toMatchObject({ NodeNames: [] });
  });

  it('does not name nodes that were not asked for', () => {
    expect(call('filter', { Pod: POD, NodeNames: ['n1'] }, refuseN2).json).toMatchObject({
      NodeNames: ['n1'],
      FailedAndUnresolvableNodes: {},
    });
  });

  it('asks about the pod and the nodes of the body', () => {
    let asked: FilterRequest | undefined;
    const filter = (request: FilterRequest) => {
      asked = request;
      return { refused: new Map<NodeName, string>() };
    };
    call('filter', { Pod: POD, Nodes: NODES }, { filter });
    expect(asked).toMatchObject({
      pod: { name: 'serving-0', uid: 'uid-serving', labels: {} },
      nodeNames: ['n1', 'n2'],
    });
  });
});

describe('prioritize', () => {
  it('scores the preferred nodes that were asked for, and no other, with whole numbers up to 10', () => {
    const scores = new Map([
      [node('n1'), 25],
      [node('n2'), 4.6],
      [node('n3'), Number.NaN],
      [node('n4'), -3],
      [node('elsewhere'), 10],
    ]);
    const body = { Pod: POD, NodeNames: ['n1', 'n2', 'n3', 'n4', 'n5'] };
    expect(call('prioritize', body, { prioritize: () => ({ scores }) }).json).toEqual([
      { Host: 'n1', Score: 10 },
      { Host: 'n2', Score: 5 },
    ]);
  });
});

describe('preempt', () => {
  function candidatesOf(body: object): readonly PreemptCandidate[] {
    let asked: PreemptRequest | undefined;
    call('preempt', body, {
      preempt: (request) => {
        asked = request;
        return { reason: 'Saving', candidates: [], node: null, displacementId: null, saving: 0 };
      },
    });
    return asked?.candidates ?? [];
  }

  it('reads UIDs', () => {
    const map = { n1: { Pods: [{ UID: 'a' }, { UID: 'b' }], NumPDBViolations: 2 } };
    expect(candidatesOf({ Pod: POD, NodeNameToVictims: null, NodeNameToMetaVictims: map })).toEqual([
      { node: 'n1', victims: ['a', 'b'], numPdbViolations: 2 },
    ]);
  });

  it('reads whole pods', () => {
    const map = { n1: { Pods: [{ metadata: { name: 'x', uid: 'a' }, spec: 'unread' }], NumPDBViolations: 1 } };
    expect(candidatesOf({ Pod: POD, NodeNameToVictims: map, NodeNameToMetaVictims: null })).toEqual([
      { node: 'n1', victims: ['a'], numPdbViolations: 1 },
    ]);
  });

  it('takes missing and null lists for empty ones', () => {
    const map = { n1: null, n2: {}, n3: { Pods: null, NumPDBViolations: null }, n4: { Pods: [] } };
    const empty = (name: string) => ({ node: name, victims: [], numPdbViolations: 0 });
    expect(candidatesOf({ Pod: POD, NodeNameToMetaVictims: map })).toEqual(['n1', 'n2', 'n3', 'n4'].map(empty));
    expect(candidatesOf({ Pod: POD })).toEqual([]);
  });

  it('gives candidates back as they came, but never an empty one', () => {
    const head = JSON.stringify({ Pod: POD }).slice(0, -1);
    const n1 = '"n1":{"Pods":[{"UID":"b"},{"UID":"a"}],"NumPDBViolations":2}';
    const n2 = '"n2":{"Pods":[],"NumPDBViolations":0}';
    const answerTo = (map: string, overrides: Partial<ExtenderCallbacks> = {}) =>
      handleExtender(
        makeCallbacks(overrides),
        'preempt',
        Buffer.from(`${head},"NodeNameToVictims":null,"NodeNameToMetaVictims":{${map}}}`),
      ).body;
    expect(answerTo(n1)).toBe(`{"NodeNameToMetaVictims":{${n1}}}`);
    expect(answerTo(`${n1},${n2}`)).toBe(`{"NodeNameToMetaVictims":{${n1}}}`);
    expect(answerTo(n2)).toBe('{}');
    const fewer: ExtenderCallbacks['preempt'] = ({ candidates }) => ({
      reason: 'NothingProtected',
      candidates: candidates.map((candidate) => ({ ...candidate, victims: candidate.victims.slice(1) })),
      node: null,
      displacementId: null,
      saving: 0,
    });
    expect(answerTo(n1, { preempt: fewer })).toBe(
      '{"NodeNameToMetaVictims":{"n1":{"Pods":[{"UID":"a"}],"NumPDBViolations":2}}}',
    );
  });

  it('answers UIDs whatever it was asked with', () => {
    const map = { n1: { Pods: [{ metadata: { uid: 'a' } }], NumPDBViolations: 1 } };
    expect(call('preempt', { Pod: POD, NodeNameToVictims: map }).json).toEqual({
      NodeNameToMetaVictims: { n1: { Pods: [{ UID: 'a' }], NumPDBViolations: 1 } },
    });
  });

  it('answers {} where there is nothing to answer', () => {
    expect(call('preempt', { Pod: POD }).body).toBe('{}');
  });

  it('lets nothing out that would end kube-scheduler, whoever made it', () => {
    const good = { node: node('good'), victims: [uid('a')], numPdbViolations: 0 };
    const bad = [
      null,
      { ...good, node: '' },
      { ...good, node: 'empty', victims: [] },
      { ...good, node: 'null list', victims: null },
      { ...good, node: 'null victim', victims: ['a', null] },
      { ...good, node: 'empty uid', victims: ['a', ''] },
      { ...good, node: 'twice', victims: ['a', 'a'], numPdbViolations: Number.NaN },
    ] as unknown as PreemptCandidate[];
    const verdict = {
      reason: 'NoneToSave' as const,
      candidates: [...bad, good],
      node: null,
      displacementId: null,
      saving: 0,
    };
    expect(call('preempt', { Pod: POD }, { preempt: () => verdict }).json).toEqual({
      NodeNameToMetaVictims: {
        twice: { Pods: [{ UID: 'a' }], NumPDBViolations: 0 },
        good: { Pods: [{ UID: 'a' }], NumPDBViolations: 0 },
      },
    });
  });

  it('keeps node names that mean something to JavaScript', () => {
    const candidate = { node: node('__proto__'), victims: [uid('a')], numPdbViolations: 0 };
    const verdict = {
      reason: 'NoneToSave' as const,
      candidates: [candidate],
      node: null,
      displacementId: null,
      saving: 0,
    };
    expect(call('preempt', { Pod: POD }, { preempt: () => verdict }).body).toContain('"__proto__":{"Pods"');
  });
});

describe('errors', () => {
  const bad: Record<string, { given: string; want: string }> = {
    'an empty body': { given: '', want: 'body: expected JSON, found nothing' },
    'text that ends early': {
      given: '{"Pod":',
      want: 'body: expected JSON, found text that is not, or only the beginning of it',
    },
    'text that is not JSON': { given: '{"Pod" 1}', want: 'body: expected JSON, found something else at character 7' },
    'an array': { given: '[]', want: 'body: expected an object, found an array' },
    'no pod': { given: '{}', want: 'Pod: expected an object, found nothing' },
    'a pod without a UID': {
      given: '{"Pod":{"metadata":{"name":"a"}}}',
      want: 'Pod.metadata.uid: expected a string, found nothing',
    },
    'an empty name': {
      given: '{"Pod":{"metadata":{"name":"","uid":"u"}}}',
      want: 'Pod.metadata.name: expected a text that is not empty, found an empty text',
    },
    'a label that is not text': {
      given: '{"Pod":{"metadata":{"name":"a","uid":"u","labels":{"team":5}}}}',
      want: 'Pod.metadata.labels.*: expected a string, found a number',
    },
    'a victim that is null': {
      given: '{"Pod":{"metadata":{"name":"a","uid":"u"}},"NodeNameToMetaVictims":{"n1":{"Pods":[null]}}}',
      want: 'NodeNameToMetaVictims.*.Pods[0]: expected an object, found null',
    },
    'a negative count': {
      given: '{"Pod":{"metadata":{"name":"a","uid":"u"}},"NodeNameToMetaVictims":{"n1":{"NumPDBViolations":-1}}}',
      want: 'NodeNameToMetaVictims.*.NumPDBViolations: expected a number of at least 0, found a number',
    },
    'a priority out of range': {
      given: '{"Pod":{"metadata":{"name":"a","uid":"u"},"spec":{"priority":1e400}}}',
      want: 'Pod.spec.priority: expected a whole number, found a number that is not a safe whole one',
    },
    'a quantity that is none': {
      given:
        '{"Pod":{"metadata":{"name":"a","uid":"u"},"spec":{"containers":[{"resources":{"requests":{"cpu":"many"}}}]}}}',
      want: 'Pod.spec.containers[0].resources.requests.*: expected a quantity, found a string',
    },
  };
  for (const [sentence, { given, want }] of Object.entries(bad)) {
    it(`refuses ${sentence}`, () => {
      const { status, body } = handleExtender(makeCallbacks(), 'preempt', given);
      expect({ status, ...(JSON.parse(body) as object) }).toEqual({
        status: 400,
        code: 'MalformedBody',
        message: want,
      });
    });
  }

  it('refuses a gated pod that nests deeper than the stack, instead of ending', () => {
    const gates = '[{"name":"reprieve.dev/restore"}]';
    const deep = `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`;
    const pod = `{"metadata":{"name":"a","uid":"u"},"spec":{"schedulingGates":${gates},"securityContext":${deep}}}`;
    expect(handleExtender(makeCallbacks(), 'filter', `{"Pod":${pod}}`).status).toBe(400);
  });

  it('answers a defect of ours with 500, and keeps the cause for the log', () => {
    const cause = new Error('secret detail');
    const preempt = () => {
      throw cause;
    };
    const { status, body, error } = call('preempt', { Pod: POD }, { preempt });
    expect(status).toBe(500);
    expect(JSON.parse(body)).toEqual({ code: 'Internal', message: 'internal error; the log has its cause' });
    expect(error).toBe(cause);
  });
});

describe('log fields', () => {
  it('are names and counts', () => {
    const preempt = () => ({
      reason: 'Saving' as const,
      candidates: [],
      node: node('n1'),
      displacementId: 'd1',
      saving: 2,
    });
    const map = { n1: { Pods: [{ UID: 'a' }] } };
    expect(call('preempt', { Pod: POD, NodeNameToMetaVictims: map }, { preempt }).fields).toEqual({
      verb: 'preempt',
      pod: 'default/serving-0',
      podUid: 'uid-serving',
      offered: 1,
      reason: 'Saving',
      node: 'n1',
      displacement: 'd1',
      saving: 2,
      answered: 0,
    });
  });
});
