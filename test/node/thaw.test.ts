import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { AGENT_FINALIZER, FROZEN_CONDITION } from '../../src/domain/labels.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition } from '../cluster/story/history.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, victimOf, type Victim } from './bed/displace.ts';
import { HeldWay } from './bed/held-way.ts';
import { askHog, hogPast } from './bed/hog.ts';
import { keeper } from './bed/keeper.ts';

/** How long a pod of these tests may stand frozen: its deadline. */
const HOLD_MS = 15_000;
/** The API server is away for longer than that, and than an agent may be silent (40 s). */
const AWAY_MS = 45_000;

/** A pod that stands frozen while its agent cannot reach the API server is thawed at its `thawAt`, and nothing is lost. */
let bed: NodeBed;
let way: HeldWay;

beforeAll(async () => {
  bed = await NodeBed.start({ nodes: 1, agents: {} });
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  const agent = bed.agent('node1');
  await agent.kill().catch(() => undefined);
  await way[Symbol.asyncDispose]();
  await agent.start();
  await clear(bed);
});

/** A pod that is saved and held frozen by an agent that reaches the API server by the {@link way}. */
async function frozen(name: string): Promise<Victim & { readonly count: number }> {
  way = await HeldWay.to(bed.cluster.url);
  await bed.agent('node1').kill();
  await bed.agent('node1').start(way.port);
  await bed.cluster.applyObjects(keeper(name, 'bare'));
  const victim = await victimOf(bed, name);
  const { count } = await hogPast(victim.ip, 10);
  const spec = {
    pod: { name, uid: victim.uid },
    node: victim.node,
    reason: 'Manual',
    hold: 'UntilDeleted',
    thawAt: new Date(Date.now() + HOLD_MS).toISOString(),
  };
  const metadata = { name, finalizers: [AGENT_FINALIZER] };
  await bed.cluster.applyObjects({ apiVersion: 'reprieve.dev/v1alpha1', kind: 'PodCheckpoint', metadata, spec });
  const isHeld = (object: KubeObject): boolean =>
    object.metadata.name === name && condition(object, 'Frozen') === 'True';
  await bed.history.until('PodCheckpoint', `${name} is held`, isHeld);
  expect(await askHog(victim.ip)).toBeNull();
  return { ...victim, count };
}

/** What is told once the API server is back, of a pod that has run on meanwhile. */
async function told(victim: Victim): Promise<object> {
  const isThawed = (object: KubeObject): boolean =>
    object.metadata.name === victim.name && condition(object, 'Frozen') === 'False';
  await bed.history.until('PodCheckpoint', `${victim.name} is told to be thawed`, isThawed);
  const isUnmarked = (pod: KubeObject): boolean =>
    pod.metadata.uid === victim.uid && condition(pod, FROZEN_CONDITION) === 'False';
  await bed.history.until('Pod', `${victim.name} loses its mark`, isUnmarked);
  const said = (await bed.cluster.kubectl('logs', victim.name)).trim().split('\n').map(Number);
  const first = said[0] as number;
  const { restarts } = bed.pod(victim.name);
  return { restarts, outOfStep: said.filter((count, at) => count !== first + at) };
}

it('an agent without the API server thaws a pod at its bound', async () => {
  const victim = await frozen('cut-off');
  way.hold();
  const heldMs = Date.now();
  await hogPast(victim.ip, victim.count, HOLD_MS + 5_000);
  await sleep(heldMs + AWAY_MS - Date.now());
  way.letGo();
  expect(await told(victim)).toEqual({ restarts: 0, outOfStep: [] });
});

it('an agent that is started again without the API server thaws at the same bound', async () => {
  const victim = await frozen('restarted');
  way.hold();
  const heldMs = Date.now();
  await bed.agent('node1').kill();
  await bed.agent('node1').launch(way.port);
  await hogPast(victim.ip, victim.count, HOLD_MS + 5_000);
  await sleep(heldMs + AWAY_MS - Date.now());
  way.letGo();
  await bed.agent('node1').kill(); // it ends by itself where the API server is away for too long
  await bed.agent('node1').start(way.port);
  expect(await told(victim)).toEqual({ restarts: 0, outOfStep: [] });
});
