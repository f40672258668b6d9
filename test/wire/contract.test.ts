import { describe, expect, it } from 'vitest';
import { violations, type Exchange, type KnownCluster } from './contract.ts';

/** A judge that accepts everything would pass every test that asks it. */

const PRIORITIES: Readonly<Record<string, number>> = { a: 10, b: 5, elsewhere: 1 };
const cluster: KnownCluster = {
  isOn: (node, uid) => node === 'n1' && (uid === 'a' || uid === 'b'),
  priorityOf: (uid) => PRIORITIES[uid] ?? Number.NaN,
};

function judged(verb: Exchange['verb'], answer: unknown, overrides: Partial<Exchange> = {}): string {
  const body = JSON.stringify(answer);
  const requestBody = JSON.stringify({ NodeNames: ['n1', 'n2'] });
  const exchange = { verb, requestBody, status: 200, body, contentType: 'application/json', ...overrides };
  return violations(exchange, cluster).join('; ');
}

const victims = (...uids: unknown[]) => ({ Pods: uids.map((UID) => ({ UID })), NumPDBViolations: 0 });
const preempted = (node: string, value: unknown) => ({ NodeNameToMetaVictims: { [node]: value } });
const filtered = (overrides: object = {}) => ({
  NodeNames: ['n1'],
  FailedNodes: {},
  FailedAndUnresolvableNodes: { n2: 'reserved' },
  Error: '',
  ...overrides,
});

describe('the contract of kube-scheduler', () => {
  it('accepts what is right', () => {
    expect(judged('filter', filtered())).toBe('');
    expect(judged('prioritize', [{ Host: 'n1', Score: 10 }])).toBe('');
    expect(judged('preempt', {})).toBe('');
    expect(judged('preempt', preempted('n1', victims('a', 'b')))).toBe('');
    const error = { code: 'MalformedBody', message: 'Pod: expected an object, found nothing' };
    expect(judged('preempt', error, { status: 400 })).toBe('');
  });

  const wrong: Record<
    string,
    { verb: Exchange['verb']; answer: unknown; overrides?: Partial<Exchange>; want: RegExp }
  > = {
    'a null for a node': { verb: 'preempt', answer: preempted('n1', null), want: /null at/ },
    'a null for a victim': { verb: 'preempt', answer: preempted('n1', { Pods: [null] }), want: /null at/ },
    'no victims': { verb: 'preempt', answer: preempted('n1', victims()), want: /without victims/ },
    'an empty UID': { verb: 'preempt', answer: preempted('n1', victims('')), want: /is not on n1/ },
    'a victim of another node': { verb: 'preempt', answer: preempted('n1', victims('elsewhere')), want: /not on n1/ },
    'an unknown node': { verb: 'preempt', answer: preempted('n9', victims('a')), want: /not on n9/ },
    'a victim twice': { verb: 'preempt', answer: preempted('n1', victims('a', 'a')), want: /twice/ },
    'victims by rising priority': { verb: 'preempt', answer: preempted('n1', victims('b', 'a')), want: /descending/ },
    'a negative count': {
      verb: 'preempt',
      answer: preempted('n1', { ...victims('a'), NumPDBViolations: -1 }),
      want: /NumPDBViolations/,
    },
    'a key nobody knows': { verb: 'preempt', answer: { nodeNameToMetaVictims: {} }, want: /unknown key/ },
    'a node neither passed nor failed': {
      verb: 'filter',
      answer: filtered({ FailedAndUnresolvableNodes: {} }),
      want: /n2 not exactly once/,
    },
    'a node that was not asked for': {
      verb: 'filter',
      answer: filtered({ NodeNames: ['n1', 'n3'] }),
      want: /n3 was not asked/,
    },
    'neither names nor nodes': { verb: 'filter', answer: { Error: '' }, want: /reject all nodes/ },
    'an error in a good answer': { verb: 'filter', answer: filtered({ Error: 'no' }), want: /Error/ },
    'a score above 10': { verb: 'prioritize', answer: [{ Host: 'n1', Score: 11 }], want: /Score 11/ },
    'a broken score': { verb: 'prioritize', answer: [{ Host: 'n1', Score: 0.5 }], want: /Score 0.5/ },
    'another good status': { verb: 'preempt', answer: {}, overrides: { status: 204 }, want: /status 204/ },
    'a failure of ours': { verb: 'preempt', answer: {}, overrides: { status: 500 }, want: /status 500/ },
    'another content type': {
      verb: 'preempt',
      answer: {},
      overrides: { contentType: 'text/html' },
      want: /content type/,
    },
    'an error without a field': {
      verb: 'preempt',
      answer: { code: 'MalformedBody', message: 'bad body' },
      overrides: { status: 400 },
      want: /error message/,
    },
    'an error with a stack': {
      verb: 'preempt',
      answer: { code: 'MalformedBody', message: 'Pod: expected an object, found nothing', stack: '' },
      overrides: { status: 400 },
      want: /error with stack/,
    },
  };
  for (const [sentence, { verb, answer, overrides, want }] of Object.entries(wrong)) {
    it(`sees ${sentence}`, () => {
      expect(judged(verb, answer, overrides)).toMatch(want);
    });
  }
});
