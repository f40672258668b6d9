import { describe, expect, it } from 'vitest';
import { makeNode, makePod } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import type { PodUid } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import type { PodConstraints, PodTerm, SpreadConstraint } from '../../domain/pod-constraints.ts';
import { podFitOf, type FitQuestion } from './pod-fit.ts';

const NOTHING: PodConstraints = {
  hostPorts: [],
  affinity: [],
  antiAffinity: [],
  spread: [],
  volumeClaims: [],
  hasResourceClaims: false,
};
const constrained = (constraints: Partial<PodConstraints>): PodConstraints => ({ ...NOTHING, ...constraints });

const app = (value: string) => ({ requirements: [{ key: 'app', operator: 'In', values: [value] } as const] });
const term = (value: string, overrides: Partial<PodTerm> = {}): PodTerm => ({
  selector: app(value),
  namespaces: ['default'],
  namespaceSelector: null,
  topologyKey: 'zone',
  ...overrides,
});
const spread = (overrides: Partial<SpreadConstraint> = {}): SpreadConstraint => ({
  maxSkew: 1,
  topologyKey: 'zone',
  selector: app('web'),
  minDomains: 1,
  honorsAffinity: true,
  honorsTaints: false,
  ...overrides,
});
const port = (ip: string, number = 8080, protocol = 'TCP') => ({ protocol, ip, port: number });

/** n1 and n2 are in zone a, n3 in zone b, n4 in none. */
function world(...pods: readonly Pod[]): TestWorld {
  const zones = { n1: 'a', n2: 'a', n3: 'b' };
  const nodes = Object.entries(zones).map(([name, zone]) => makeNode({ name, labels: { zone } }));
  return new TestWorld().put('node', ...nodes, makeNode({ name: 'n4', labels: {} })).put('pod', ...pods);
}

/** Nodes that take the pod. */
function fitting(w: TestWorld, pod: Pod, more: Partial<FitQuestion> = {}): string {
  const fit = podFitOf({ view: w.index, pod, mayTake: () => true, ...more });
  const nodes = [...w.index.nodes()].filter((on) => fit === null || fit(on) === null);
  return nodes.map(({ node }) => node.name).join(' ');
}

const on = (nodeName: string, value: string, more: Partial<Pod> = {}): Pod =>
  makePod({ name: `${value}-${nodeName}`, labels: { app: value }, ...more, nodeName });
const asking = (constraints: Partial<PodConstraints>, value = 'web'): Pod =>
  makePod({ name: 'asking', labels: { app: value }, constraints: constrained(constraints) });

describe('podFitOf', () => {
  it('asks nothing for a pod that demands nothing, while no pod repels others', () => {
    expect(podFitOf({ view: world(on('n1', 'web')).index, pod: makePod(), mayTake: () => true })).toBeNull();
  });

  describe('host ports', () => {
    const holder = (ip: string) => on('n1', 'x', { constraints: constrained({ hostPorts: [port(ip)] }) });
    const cases: Record<string, { holds: string; asks: ReturnType<typeof port>; want: string }> = {
      'the same port': { holds: '0.0.0.0', asks: port('0.0.0.0'), want: 'n2 n3 n4' },
      'one address of all': { holds: '0.0.0.0', asks: port('10.0.0.1'), want: 'n2 n3 n4' },
      'all addresses beside one': { holds: '10.0.0.1', asks: port('0.0.0.0'), want: 'n2 n3 n4' },
      'another address': { holds: '10.0.0.1', asks: port('10.0.0.2'), want: 'n1 n2 n3 n4' },
      'another port': { holds: '0.0.0.0', asks: port('0.0.0.0', 8081), want: 'n1 n2 n3 n4' },
      'another protocol': { holds: '0.0.0.0', asks: port('0.0.0.0', 8080, 'UDP'), want: 'n1 n2 n3 n4' },
    };
    for (const [sentence, { holds, asks, want }] of Object.entries(cases)) {
      it(sentence, () => expect(fitting(world(holder(holds)), asking({ hostPorts: [asks] }))).toBe(want));
    }

    it('are free again when their pod leaves, and taken where one comes or is nominated', () => {
      const pod = asking({ hostPorts: [port('0.0.0.0')] });
      const leaving = new Set<PodUid>([holder('0.0.0.0').uid]);
      expect(fitting(world(holder('0.0.0.0')), pod, { leaving })).toBe('n1 n2 n3 n4');
      const coming = [{ pod: makePod({ ...holder('0.0.0.0'), nodeName: null }), node: makeNode({ name: 'n2' }) }];
      expect(fitting(world(), pod, { coming })).toBe('n1 n3 n4');
      const nominated = makePod({ ...holder('0.0.0.0'), nodeName: null, nominatedNodeName: 'n3' });
      expect(fitting(world(nominated), pod)).toBe('n1 n2 n4');
    });
  });

  describe('pod affinity', () => {
    const near = (...terms: PodTerm[]) => asking({ affinity: terms });
    it('wants a selected pod in the domain', () => {
      expect(fitting(world(on('n1', 'db')), near(term('db')))).toBe('n1 n2');
      expect(fitting(world(), near(term('db')))).toBe('');
      expect(fitting(world(on('n1', 'db', { namespace: 'other' })), near(term('db')))).toBe('');
    });

    it('lets the first pod that selects itself take any domain, and no later one', () => {
      expect(fitting(world(), near(term('web')))).toBe('n1 n2 n3');
      expect(fitting(world(on('n3', 'web')), near(term('web')))).toBe('n3');
    });

    it('looks into the namespaces that the term selects', () => {
      const team = { name: 'team', uid: 'team', resourceVersion: '1', pauseFor: null, labels: { kind: 'team' } };
      const namespaceSelector = { requirements: [{ key: 'kind', operator: 'Exists', values: [] } as const] };
      const pod = near(term('db', { namespaces: [], namespaceSelector }));
      const w = world(on('n3', 'db', { namespace: 'team' }));
      expect(fitting(w, pod)).toBe('');
      w.put('namespace', team);
      expect(fitting(w, pod)).toBe('n3');
    });

    it('follows pods that come and go', () => {
      const w = world();
      expect(fitting(w, near(term('db')))).toBe('');
      w.put('pod', on('n3', 'db'));
      expect(fitting(w, near(term('db')))).toBe('n3');
      w.remove('pod', on('n3', 'db'));
      expect(fitting(w, near(term('db')))).toBe('');
    });
  });

  describe('pod anti-affinity', () => {
    it('keeps the pod out of the domains of those it selects', () => {
      expect(fitting(world(on('n1', 'db')), asking({ antiAffinity: [term('db')] }))).toBe('n3 n4');
    });

    it('of a pod that is there keeps out those that it selects', () => {
      const repelling = on('n3', 'db', { constraints: constrained({ antiAffinity: [term('web')] }) });
      const w = world(repelling);
      expect(fitting(w, makePod({ name: 'plain', labels: { app: 'web' } }))).toBe('n1 n2 n4');
      expect(fitting(w, makePod({ name: 'plain', labels: { app: 'other' } }))).toBe('n1 n2 n3 n4');
      expect(
        fitting(w, makePod({ name: 'plain', labels: { app: 'web' } }), { leaving: new Set([repelling.uid]) }),
      ).toBe('n1 n2 n3 n4');
      w.remove('pod', repelling);
      expect(fitting(w, makePod({ name: 'plain', labels: { app: 'web' } }))).toBe('n1 n2 n3 n4');
    });

    it('counts pods that were promised a node', () => {
      const self = { antiAffinity: [term('web', { topologyKey: 'zone' })] };
      const coming = [{ pod: asking(self), node: makeNode({ name: 'n1', labels: { zone: 'a' } }) }];
      expect(fitting(world(), { ...asking(self), uid: 'second' as PodUid }, { coming })).toBe('n3 n4');
    });
  });

  describe('topology spread', () => {
    const even = (overrides: Partial<SpreadConstraint> = {}) => asking({ spread: [spread(overrides)] });
    it('keeps the skew, and wants the topology label', () => {
      expect(fitting(world(), even())).toBe('n1 n2 n3');
      expect(fitting(world(on('n1', 'web')), even())).toBe('n3');
      expect(fitting(world(on('n1', 'web')), even({ maxSkew: 2 }))).toBe('n1 n2 n3');
      expect(fitting(world(on('n1', 'web'), on('n3', 'web')), even())).toBe('n1 n2 n3');
    });

    it('leaves terminating pods and other namespaces out', () => {
      expect(fitting(world(on('n1', 'web', { deletionMs: 1 })), even())).toBe('n1 n2 n3');
      expect(fitting(world(on('n1', 'web', { namespace: 'other' })), even())).toBe('n1 n2 n3');
    });

    it('counts the domains that the pod may take', () => {
      const mayTake: FitQuestion['mayTake'] = ({ labels }) => labels['zone'] === 'a';
      const one = world(on('n1', 'web'));
      expect(fitting(one, even(), { mayTake })).toContain('n1 n2');
      expect(fitting(one, even({ honorsAffinity: false }), { mayTake })).toBe('n3');
      const tainted = makeNode({
        name: 'n3',
        labels: { zone: 'b' },
        taints: [{ key: 'k', value: '', effect: 'NoSchedule' }],
      });
      expect(fitting(one.put('node', tainted), even({ honorsTaints: true }))).toContain('n1 n2');
    });

    it('takes a missing domain for an empty one, where so many are wanted', () => {
      expect(fitting(world(on('n1', 'web'), on('n3', 'web')), even({ minDomains: 3 }))).toBe('');
    });
  });

  it('knows no node for a pod with ResourceClaims', () => {
    expect(fitting(world(), asking({ hasResourceClaims: true }))).toBe('');
  });
});
