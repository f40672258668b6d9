import { basename } from 'node:path';
import type { Extension } from '../../cluster/control-plane/in-cluster.ts';
import { buildKubelet } from '../../cluster/control-plane/binaries.ts';
import { removeCgroup, thawCgroup } from './cgroups.ts';
import { BASIC_IMAGES, buildArchive, LANGUAGE_IMAGES } from './images.ts';
import { nodeAddress } from './node-files.ts';
import { buildTree, LANGUAGES_TREE, NODE_TREE, works } from './rootfs.ts';

/** What the nodes use of the machine besides what the control plane does. */
const needs = [
  { probe: ['gcc', '--version'], remedy: 'apt-get install -y gcc libc6-dev' },
  { probe: ['nsenter', '--version'], remedy: 'apt-get install -y util-linux' },
  { probe: ['mkfs.ext4', '-V'], remedy: 'apt-get install -y e2fsprogs' },
] as const;

/** No more nodes than this in one bed. */
const MOST_NODES = 2;

/** The folder of the run names the cgroups of its nodes, so that whoever tidies up after it knows them. */
export function cgroupOf(runFolder: string): string {
  return basename(runFolder);
}

/** Real nodes, for `runInCluster`. */
export const NODE_SETTING: Extension = {
  missing: missingForNodes,
  build: async (options) => {
    await buildKubelet(options);
    for (const tree of [NODE_TREE, LANGUAGES_TREE]) await buildTree(tree, options);
    for (const archive of [BASIC_IMAGES, LANGUAGE_IMAGES]) await buildArchive(archive);
  },
  surroundings: (runFolder) => ({
    addresses: Array.from({ length: MOST_NODES }, (_, index) => nodeAddress(index + 1)),
    // What a test that crashed has left frozen does not end with the namespace, and would keep it for ever.
    atEnd: `for file in $(find /sys/fs/cgroup -path '*/${cgroupOf(runFolder)}/*' -name freezer.state); do echo THAWED > $file; done`,
  }),
  tidyUp: async (runFolder) => {
    await thawCgroup(cgroupOf(runFolder));
    await removeCgroup(cgroupOf(runFolder));
  },
};

async function missingForNodes(): Promise<string[]> {
  if (process.getuid?.() !== 0) return ['real nodes mount file systems and make cgroups: run as root'];
  const missing: string[] = [];
  for (const { probe, remedy } of needs) {
    const [command, ...args] = probe;
    if (!(await works(command, args))) missing.push(`"${probe.join(' ')}" does not work: ${remedy}`);
  }
  return missing;
}
