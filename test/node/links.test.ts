import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NodeBed } from './bed/bed.ts';
import { IMAGES } from './bed/images.ts';

/** A pod whose container makes links in a volume that lead out of it, while root works there. */
let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ nodes: 1 });
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});

const OUTSIDE = '/var/lib/outside';
const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), 'bed/race.ts');
/** `d` is a folder, then a link that leads out of the volume, then a folder again. It writes down how often. */
const RACER = `round=0; echo 0 > /notes/rounds
while :; do
  mv /shared/d /shared/x; ln -s ${OUTSIDE} /shared/d; rm -f /shared/d; mv /shared/x /shared/d
  round=$((round + 1)); echo $round > /notes/rounds
done 2>/dev/null`;

const racer = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'racer', labels: { app: 'racer' } },
  spec: {
    priorityClassName: 'batch',
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 0,
    volumes: ['shared', 'notes'].map((volume) => ({ name: volume, emptyDir: {} })),
    containers: [
      {
        name: 'main',
        image: IMAGES.testTools,
        imagePullPolicy: 'Never',
        command: ['sh', '-c', RACER],
        securityContext: { runAsUser: 1000 },
        volumeMounts: ['shared', 'notes'].map((volume) => ({ name: volume, mountPath: `/${volume}` })),
      },
    ],
  },
};

describe('a container that makes links in a volume while root fills, packs and empties it', () => {
  it('has nothing outside of the volume written, read or removed in 1,000 rounds', async () => {
    const { name, node } = await bed.runPod(racer);
    const uid = bed.history.last('Pod', name)?.metadata.uid as string;
    const outside = node.path(OUTSIDE);
    await mkdir(outside);
    const names = Array.from({ length: 300 }, (_, at) => `f${at}`);
    for (const file of names) await writeFile(join(outside, file), 'of others');
    const volume = `/var/lib/kubelet/pods/${uid}/volumes/kubernetes.io~empty-dir/shared`;
    const rounds = async (): Promise<number> =>
      Number(await bed.cluster.kubectl('exec', name, '--', 'cat', '/notes/rounds'));
    const before = await rounds();
    let after = before;
    for (let at = 0; after < before + 1_000; at++) {
      const work = `/var/lib/race-${at}`;
      await node.run('mkdir', work);
      await node.run(process.execPath, SCRIPT, volume, work, '10');
      expect((await readFile(join(node.path(work), 'packed.tar'))).includes('of others')).toBe(false);
      after = await rounds();
    }
    expect((await readdir(outside)).sort()).toEqual(names.toSorted());
    for (const file of names) {
      const path = join(outside, file);
      expect([await readFile(path, 'utf8'), (await stat(path)).mode & 0o7777]).toEqual(['of others', 0o644]);
    }
  });
});
