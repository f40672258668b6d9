import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FROZEN_CONDITION } from '../../src/domain/labels.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition, field } from '../cluster/story/history.ts';
import { ordered, victimUidOf } from '../cluster/story/seen.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, displace, versionsOf, victimOf, type Victim } from './bed/displace.ts';
import { hogPast } from './bed/hog.ts';
import { keeper, type KeeperShape } from './bed/keeper.ts';

/** Dumps that cannot succeed: nobody is evicted for nothing, nothing stays frozen, and the reason is said. */
const DISK_MIB = 400;
const STATE = '/var/lib/reprieve';
let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ stateDiskMiB: DISK_MIB, agents: { reserve: '1Mi' } });
  await bed.cluster.applyObjects({
    apiVersion: 'reprieve.dev/v1alpha1',
    kind: 'ReprievePolicy',
    metadata: { name: 'refuse' },
    spec: {
      match: { priorityClassNames: ['batch'] },
      preemption: { decision: 'Always', onFailure: 'Refuse', maxDelay: '3s' },
    },
  });
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  for (const node of bed.nodes) await node.run('rm', '-f', `${STATE}/filler`);
  await clear(bed);
});

let count = 0;

async function running(shape: KeeperShape): Promise<Victim> {
  const name = `keeper-${++count}`;
  await bed.cluster.applyObjects(keeper(name, 'bare', shape));
  const victim = await victimOf(bed, name);
  await hogPast(victim.ip, 5);
  return victim;
}

/** What became of the order to save a victim that a preemptor wants gone. */
async function failureOf(
  victim: Victim,
  meanwhile: () => Promise<unknown> = async () => undefined,
): Promise<KubeObject> {
  displace(bed, victim).catch(() => undefined); // it never gets its node
  await ordered(bed, victim.uid);
  await meanwhile();
  const { object } = await bed.history.until(
    'PodCheckpoint',
    'Failed',
    (checkpoint) => victimUidOf(checkpoint) === victim.uid && condition(checkpoint, 'Failed') === 'True',
  );
  return object;
}

/** Where the state of a victim is being written. */
async function folderOf(victim: Victim): Promise<string> {
  const { namespace, name, uid } = (await ordered(bed, victim.uid)).object.metadata;
  return `${STATE}/checkpoints/${namespace}_${name}_${uid}`;
}

const failed = (checkpoint: KubeObject): { readonly reason: string; readonly message: string } =>
  (field(checkpoint, 'status', 'conditions') as { type: string; reason: string; message: string }[]).find(
    ({ type }) => type === 'Failed',
  ) as { reason: string; message: string };

/** How a victim is that was to go: it should run on where it was, and nothing of the attempt be left on the disk. */
async function aftermath(victim: Victim): Promise<object> {
  const { count: now } = await hogPast(victim.ip, 0, 60_000);
  const { data } = await hogPast(victim.ip, now);
  const versions = versionsOf(bed, victim.uid);
  const deleted = versions.some(({ object }) => object.metadata.deletionTimestamp !== undefined);
  const frozen = condition(versions.at(-1)?.object as KubeObject, FROZEN_CONDITION) === 'True';
  await bed.cluster.kubectl('delete', 'pod', `serving-${victim.name}`, '--wait=false', '--ignore-not-found'); // or it tries again
  // The PodCheckpoint is kept, for people to read why it failed; its files are not.
  const listed = async (): Promise<string> => (await bed.node(victim.node).run('ls', `${STATE}/checkpoints`)).trim();
  await expect.poll(listed, { timeout: 60_000 }).toBe('');
  const onDisk = await listed();
  return { data, deleted, frozen, restarts: bed.pod(victim.name).restarts, onDisk };
}
const UNHARMED = { data: 'ok', deleted: false, frozen: false, restarts: 0, onDisk: '' };

/** Lets the agent of a node, and what it starts, write so much to the disk of its states. */
async function throttled(nodeName: string, mebibytesPerSecond: number): Promise<void> {
  const script = `
    mount -o remount,sync ${STATE}
    device=$(basename "$(findmnt -no SOURCE ${STATE})")
    cgroup=/sys/fs/cgroup/blkio/slow-$$
    mkdir "$cgroup"
    echo "$(cat "/sys/class/block/$device/dev") ${mebibytesPerSecond * 2 ** 20}" >"$cgroup/blkio.throttle.write_bps_device"
    for pid in $(pgrep -f 'main.ts agent'); do echo "$pid" >"$cgroup/cgroup.procs"; done
    echo "$cgroup"`;
  throttles.push({ nodeName, cgroup: (await bed.node(nodeName).run('sh', '-euc', script)).trim() });
}

const throttles: { readonly nodeName: string; readonly cgroup: string }[] = [];

afterEach(async () => {
  for (const { nodeName, cgroup } of throttles.splice(0)) {
    const script = `for pid in $(cat ${cgroup}/cgroup.procs); do echo $pid >${cgroup}/../cgroup.procs; done
      rmdir ${cgroup}; mount -o remount,async ${STATE}`;
    await bed.node(nodeName).run('sh', '-euc', script);
  }
});

describe('a pod that cannot be saved runs on', () => {
  it('where its node has no room for it', async () => {
    const victim = await running({ mebibytes: DISK_MIB + 100 });
    const { reason, message } = failed(await failureOf(victim));
    expect(reason).toBe('NoSpace');
    expect(message).toMatch(/of memory .* are free/);
    expect(versionsOf(bed, victim.uid).some(({ object }) => condition(object, FROZEN_CONDITION) === 'True')).toBe(
      false,
    );
    expect(await aftermath(victim)).toEqual(UNHARMED);
  });

  it('where the disk fills up while it is being written', async () => {
    const victim = await running({ mebibytes: 200 });
    await throttled(victim.node, 40);
    const checkpoint = await failureOf(victim, async () => {
      const node = bed.node(victim.node);
      const free = async (): Promise<number> => {
        const [blocks = 0, size = 0] = (await node.run('stat', '-f', '-c', '%a %S', STATE)).split(' ').map(Number);
        return blocks * size;
      };
      const before = await free();
      while (before - (await free()) < 20 * 2 ** 20) await new Promise((resolve) => setTimeout(resolve, 20));
      await node.run('fallocate', '-l', String(Math.max(4096, (await free()) - 2 ** 20)), `${STATE}/filler`);
    });
    expect(failed(checkpoint)).toMatchObject({ reason: 'NoSpace' });
    expect(await aftermath(victim)).toEqual(UNHARMED);
  });

  it('where the disk is too slow for the preemptor to wait', async () => {
    const victim = await running({ mebibytes: 200 });
    await throttled(victim.node, 12);
    displace(bed, victim).catch(() => undefined); // it never gets its node
    // Reprieve takes the order back when its time is over; the agent, which cannot interrupt CRIU, thaws after the dump.
    await bed.history.until(
      'PodCheckpoint',
      'thawed',
      (checkpoint) => victimUidOf(checkpoint) === victim.uid && condition(checkpoint, 'Frozen') === 'False',
    );
    expect(await aftermath(victim)).toEqual(UNHARMED);
  });

  it('where the agent dies during a dump that outlives it for long', async () => {
    const victim = await running({ mebibytes: 200 });
    await throttled(victim.node, 12);
    displace(bed, victim).catch(() => undefined); // it never gets its node
    const folder = await folderOf(victim);
    await bed
      .node(victim.node)
      .run('sh', '-c', `until [ -s ${folder}/containers/main/images/pages-1.img ]; do sleep 0.01; done`);
    await bed.agent(victim.node).kill();
    await bed.cluster.kubectl('delete', 'pod', `serving-${victim.name}`, '--wait=false');
    await bed.agent(victim.node).start();
    expect(await aftermath(victim)).toEqual(UNHARMED);
  });

  it('where CRIU refuses one of its processes', async () => {
    const victim = await running({ mebibytes: 16, locks: true });
    const options = bed.node(victim.node).path('/etc/criu/runc.conf');
    const installed = await readFile(options, 'utf8');
    await writeFile(options, installed.replace(/^file-locks.*\n/m, ''));
    const { reason, message } = failed(await failureOf(victim));
    await writeFile(options, installed);
    expect(reason).toBe('DumpFailed');
    expect(message).toMatch(/file locks/);
    expect(await aftermath(victim)).toEqual(UNHARMED);
  });
});
