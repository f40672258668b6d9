import { access, readdir, readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FROZEN_CONDITION } from '../../src/domain/labels.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition } from '../cluster/story/history.ts';
import { ordered, phaseOf, victimUidOf } from '../cluster/story/seen.ts';
import { QUICK_LEASE } from '../cluster/story/lab.ts';
import { policy } from '../cluster/story/workloads.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, displace, restoredFrom, versionsOf, victimOf, type Victim } from './bed/displace.ts';
import { HeldWay } from './bed/held-way.ts';
import { hogPast } from './bed/hog.ts';
import { keeper, type KeeperShape } from './bed/keeper.ts';
import { KUBERNETES_FOLDER } from './bed/node-files.ts';

/**
 * What must hold whatever dies, at whatever moment (invariant 7 in ARCHITECTURE.md). Each test ends with nothing frozen and
 * nothing lost.
 */
let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ agents: {}, configuration: QUICK_LEASE });
  await bed.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  await clear(bed);
  for (const { name } of bed.nodes) {
    const left = await frozen(name);
    if (left.length > 0) throw new Error(`${left.join(', ')} stand frozen on ${name}`);
  }
});

/** Ids of containers that stand frozen on a node. */
async function frozen(nodeName: string): Promise<readonly string[]> {
  const list = await bed.node(nodeName).run('runc', '--root', '/run/containerd/runc/k8s.io', 'list', '-f', 'json');
  const containers = (JSON.parse(list) ?? []) as readonly { readonly id: string; readonly status: string }[];
  return containers.filter(({ status }) => status === 'paused').map(({ id }) => id);
}

let count = 0;

/** A bare keeper under a name that was never used before: the history knows all that ever were. */
async function running(mebibytes: number, shape: KeeperShape = {}): Promise<Victim & { readonly count: number }> {
  const name = `keeper-${++count}`;
  await bed.cluster.applyObjects(keeper(name, 'bare', { mebibytes, ...shape }));
  const victim = await victimOf(bed, name);
  const answer = await hogPast(victim.ip, 10);
  return { ...victim, count: answer.count };
}

/** A moment in the life of a displacement; resolves when it has come. */
const MOMENTS: Readonly<Record<string, (victim: Victim) => Promise<unknown>>> = {
  'as soon as it is ordered': (victim) => ordered(bed, victim.uid),
  'in the middle of the dump': async (victim) => {
    const { object } = await ordered(bed, victim.uid);
    const folder = `/var/lib/reprieve/checkpoints/${object.metadata.namespace}_${object.metadata.name}_${object.metadata.uid}`;
    await appears(victim.node, `${folder}/containers/main/images/pages-1.img`);
  },
  'when the pod is marked frozen': (victim) =>
    bed.history.until(
      'Pod',
      `${victim.name} frozen`,
      (pod) => pod.metadata.uid === victim.uid && condition(pod, FROZEN_CONDITION) === 'True',
    ),
  'when the pod is being deleted': (victim) =>
    bed.history.until(
      'Pod',
      `${victim.name} deleted`,
      (pod) => pod.metadata.uid === victim.uid && pod.metadata.deletionTimestamp !== undefined,
    ),
};

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
const isNotEmpty = (path: string): Promise<boolean> =>
  readdir(path).then(
    (names) => names.length > 0,
    () => false,
  );

async function appears(nodeName: string, path: string, has = exists): Promise<void> {
  for (let left = 1500; left > 0; left--) {
    if (await has(bed.node(nodeName).path(path))) return;
    await sleep(10);
  }
  throw new Error(`${path} did not appear on ${nodeName}`);
}

/** What dies, and comes back by itself as its supervisor starts it again. */
const VICTIMS_OF_FAULTS: Readonly<Record<string, (victim: Victim) => Promise<unknown>>> = {
  'the agent of the victim’s node': ({ node }) => revived(bed.agent(node)),
  'containerd of the victim’s node': ({ node }) => restarted(node, 'containerd'),
  'the kubelet of the victim’s node': ({ node }) => restarted(node, 'kubelet'),
  Reprieve: async () => revived(await bed.served.leader()),
};

async function revived(program: { kill(): Promise<void>; start(): Promise<void> }): Promise<void> {
  await program.kill();
  await program.start();
}

async function restarted(nodeName: string, part: 'containerd' | 'kubelet'): Promise<void> {
  await bed.node(nodeName).kill(part);
  await bed.node(nodeName).start(part);
}

/** How a victim goes on, once it does. A count that is missing was lost, one that is there twice was made twice. */
async function aftermath(victim: Victim & { readonly count: number }): Promise<object> {
  const again = await restoredFrom(bed, victim);
  const { data } = await hogPast(again.ip, victim.count);
  const said = (await bed.cluster.kubectl('logs', again.name)).trim().split('\n').map(Number);
  const first = said[0] as number;
  const outOfStep = said.filter((count, at) => count !== first + at);
  return { data, goesOn: first > victim.count, outOfStep, restarts: bed.pod(again.name).restarts };
}
const UNHARMED = { data: 'ok', goesOn: true, outOfStep: [], restarts: 0 };

for (const [what, strike] of Object.entries(VICTIMS_OF_FAULTS)) {
  describe(`SIGKILL of ${what}`, () => {
    it.each(Object.keys(MOMENTS))('%s', async (moment) => {
      const victim = await running(256);
      const displaced = displace(bed, victim);
      await (MOMENTS[moment] as (typeof MOMENTS)[string])(victim);
      await strike(victim);
      await displaced;
      expect(await aftermath(victim)).toEqual(UNHARMED);
    });
  });
}

describe('SIGKILL while another node restores', () => {
  const moments: Readonly<Record<string, (victim: Victim, node: string) => Promise<unknown>>> = {
    'when the pod has its node': (victim) =>
      bed.history.until(
        'Reprieve',
        `${victim.name} restoring`,
        (ticket) => victimUidOf(ticket) === victim.uid && phaseOf(ticket) === 'Restoring',
      ),
    'in the middle of the fetch': (_, node) => appears(node, '/var/lib/reprieve/fetched', isNotEmpty),
    'when the wrapper asks': (_, node) => appears(node, '/run/reprieve/requests', isNotEmpty),
  };
  const strikes: Readonly<Record<string, (node: string, victim: Victim) => Promise<unknown>>> = {
    'the agent': (node) => revived(bed.agent(node)),
    'the agent that holds the state': (_, victim) => revived(bed.agent(victim.node)),
    Reprieve: async () => revived(await bed.served.leader()),
    containerd: (node) => restarted(node, 'containerd'),
    'the kubelet': (node) => restarted(node, 'kubelet'),
  };
  for (const [moment, comes] of Object.entries(moments)) {
    it.each(Object.keys(strikes))(`%s, ${moment}`, async (what) => {
      const victim = await running(256);
      const other = bed.nodes.find(({ name }) => name !== victim.node)?.name as string;
      const displaced = displace(bed, victim);
      await comes(victim, other);
      await (strikes[what] as (typeof strikes)[string])(other, victim);
      await displaced;
      expect(await aftermath(victim)).toEqual(UNHARMED);
    });
  }
});

describe('a kubelet that learns late of a deletion', () => {
  const config = `${KUBERNETES_FOLDER}/kubelet.kubeconfig`;

  /** From its next start on, the kubelet of a node talks to the API server of that URL. */
  async function redirect(nodeName: string, url: string): Promise<void> {
    const path = bed.node(nodeName).path(config);
    const kubeconfig = await readFile(path, 'utf8');
    await writeFile(path, kubeconfig.replace(/"server":"[^"]*"/, `"server":"${url}"`));
    await restarted(nodeName, 'kubelet');
  }

  it('starts no saved container again, nor lets the preemptor wait for the grace period', async () => {
    // Longer than this test may take: if anything of the pod were given its grace period, the preemptor would not run.
    const victim = await running(64, { graceSeconds: 600 });
    const { url } = bed.cluster;
    await using way = await HeldWay.to(url);
    try {
      await redirect(victim.node, `https://${new URL(url).hostname}:${way.port}`);
      const displaced = displace(bed, victim);
      await ordered(bed, victim.uid);
      way.hold();
      await MOMENTS['when the pod is being deleted']?.(victim);
      await sleep(4_000); // it looks at its containers each second, and starts anew what it finds dead
      expect(await frozen(victim.node)).toHaveLength(1);
      way.letGo();
      await displaced;
    } finally {
      await redirect(victim.node, url);
    }
    expect(await aftermath(victim)).toEqual(UNHARMED);
    const began = versionsOf(bed, victim.uid).flatMap(({ object }) => containersOf(object));
    expect([...new Set(began)]).toHaveLength(1);
  });
});

/** Which containers a pod said to run or have run. */
function containersOf({ status }: KubeObject): readonly string[] {
  const { containerStatuses = [] } = (status ?? {}) as PodStatus;
  return containerStatuses.flatMap(({ containerID, lastState }) =>
    [containerID, lastState?.terminated?.containerID].filter((id) => id !== undefined),
  );
}

interface PodStatus {
  readonly containerStatuses?: readonly {
    readonly containerID?: string;
    readonly lastState?: { readonly terminated?: { readonly containerID?: string } };
  }[];
}
