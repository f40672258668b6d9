import { readFile, writeFile } from 'node:fs/promises';
import type { RunningPod } from '../../test/node/bed/bed.ts';
import { BY_HAND, layersOf, shell, timed } from './by-hand.ts';

const ROOT = '/run/by-hand';
const BUNDLE = `${ROOT}/bundle`;
const ID = 'by-hand';

interface Spec {
  readonly linux: {
    cgroupsPath: string;
    readonly namespaces: { readonly type: string; path?: string }[];
  };
}

/**
 * The least that restoring can take: runc's restore of the images that were last made by hand of this container, beside it,
 * into an overlay of the same layers with its files of that moment, and a network of its own. Milliseconds.
 */
export async function restoreByRunc(pod: RunningPod): Promise<number> {
  const { node } = pod;
  const { bundle, lower } = await layersOf(pod);
  await shell(
    node,
    `mkdir -p ${BUNDLE}/rootfs ${BY_HAND}/overlay
     cd $(dirname $(dirname ${lower.split(':')[0]})); ip netns add ${ID}
     mount -t overlay overlay -o lowerdir=${lower},upperdir=${BY_HAND}/upper,workdir=${BY_HAND}/overlay ${BUNDLE}/rootfs`,
  );
  const spec = JSON.parse(await readFile(node.path(`${bundle}/config.json`), 'utf8')) as Spec;
  spec.linux.cgroupsPath = `${spec.linux.cgroupsPath}-by-hand`;
  for (const namespace of spec.linux.namespaces) if (namespace.type === 'network') namespace.path = `/run/netns/${ID}`;
  await writeFile(node.path(`${BUNDLE}/config.json`), JSON.stringify(spec));
  const paths = `--image-path ${BY_HAND}/images --work-path ${BY_HAND}/work --bundle ${BUNDLE}`;
  try {
    return await timed(node, `runc --root ${ROOT}/runc restore --detach --no-subreaper ${paths} ${ID}`);
  } finally {
    await shell(
      node,
      `runc --root ${ROOT}/runc delete --force ${ID} || true; umount ${BUNDLE}/rootfs; ip netns delete ${ID}
       rm -rf ${ROOT} ${BY_HAND}/upper ${BY_HAND}/overlay`,
    );
  }
}
