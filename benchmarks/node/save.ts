import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { KubeClient } from '../../src/kube/client.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { NodeBed, RunningPod } from '../../test/node/bed/bed.ts';
import { condition, field } from '../../test/cluster/story/history.ts';
import { BY_HAND, layersOf, RUNC, shell, timed } from './by-hand.ts';

/** A pod saved by the agent, milliseconds. */
export interface Saved {
  readonly freeze: number;
  /** The runtime's checkpoint alone, beside which archives are packed and memory is hashed. */
  readonly criu: number;
  /** From its being frozen until all is on the disk and verified. */
  readonly dump: number;
  /** From the order until it is told, with the thaw. */
  readonly total: number;
}

/** The agent saves a pod and lets it go on. Milliseconds by its own clock. */
export async function saveByAgent(bed: NodeBed, pod: RunningPod, name: string): Promise<Saved> {
  const client = new KubeClient(bed.transport);
  const uid = bed.history.last('Pod', pod.name)?.metadata.uid;
  await client.create(RESOURCES.podCheckpoints, 'default', {
    metadata: { name },
    spec: { pod: { name: pod.name, uid }, node: pod.node.name, reason: 'Manual', hold: 'None' },
  });
  const { object } = await bed.history.until('PodCheckpoint', `${name} done`, (checkpoint) => {
    if (checkpoint.metadata.name !== name) return false;
    if (condition(checkpoint, 'Failed') === 'True') throw new Error(JSON.stringify(checkpoint['status']));
    return condition(checkpoint, 'Ready') === 'True';
  });
  const at = (key: string): number => Date.parse(String(field(object, 'status', key)));
  await bed.cluster.kubectl('delete', 'podcheckpoint', name, '--wait');
  const [started, taken, completed] = [at('startedAt'), at('takenAt'), at('completedAt')];
  const { prepare, criu, write, sync, finish } = await timings(bed, pod.node.name, name);
  const dump = prepare + write + sync + finish;
  return { freeze: taken - started, criu, dump, total: completed - started };
}

/** What the agent of a node said of the save of a PodCheckpoint in namespace `default`. */
async function timings(bed: NodeBed, node: string, checkpoint: string): Promise<Readonly<Record<Part, number>>> {
  const lines = (await bed.agent(node).log()).split('\n').filter((line) => line.includes('"msg":"saved"'));
  const said = lines
    .map((line) => JSON.parse(line) as { readonly reference: string; readonly ms: Readonly<Record<Part, number>> })
    .find(({ reference }) => reference.startsWith(`default_${checkpoint}_`));
  if (said === undefined) throw new Error(`the agent of ${node} has not said that it saved ${checkpoint}`);
  return said.ms;
}

type Part = 'prepare' | 'criu' | 'write' | 'sync' | 'finish';

/** The least that saving can take: runc's checkpoint of the frozen container, and every file of it synced. Leaves the images and a copy of the changed files. */
export async function saveByRunc(pod: RunningPod): Promise<{ readonly criu: number; readonly dump: number }> {
  const { node } = pod;
  const [id = ''] = pod.containers;
  await shell(node, `rm -rf ${BY_HAND}; mkdir -p -m 700 ${BY_HAND}/images ${BY_HAND}/work ${BY_HAND}/upper`);
  const { upper } = await layersOf(pod);
  await shell(node, `${RUNC} pause ${id}`);
  try {
    const paths = `--image-path ${BY_HAND}/images --work-path ${BY_HAND}/work`;
    const criu = await timed(node, `${RUNC} checkpoint --leave-running ${paths} ${id}`);
    const sync = await timed(node, `cd ${BY_HAND}/images && sync ./* .`);
    await shell(node, `cp -a ${upper}/. ${BY_HAND}/upper/`); // as they are while the processes stand still
    return { criu, dump: criu + sync };
  } finally {
    await shell(node, `${RUNC} resume ${id}`);
  }
}

/** The kubelet's checkpoint API, which freezes, packs an archive and syncs nothing. */
export async function saveByKubelet(bed: NodeBed, pod: RunningPod): Promise<{ readonly total: number }> {
  const { admin, caPath } = bed.cluster;
  const [ca, cert, key] = await Promise.all([caPath, admin.certPath, admin.keyPath].map((path) => readFile(path)));
  const startMs = performance.now();
  const url = `https://${pod.node.address}:10250/checkpoint/default/${pod.name}/main`;
  const answer = await new Promise<string>((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent: false, ca, cert, key }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('error', reject).on('end', () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`the kubelet answered HTTP ${response.statusCode}: ${text}`));
      });
    });
    sent.on('error', reject).end();
  });
  const total = performance.now() - startMs;
  const { items } = JSON.parse(answer) as { readonly items: readonly string[] };
  await pod.node.run('rm', '-f', ...items);
  return { total };
}
