import type { Archive } from '../node/bed/images.ts';
import { packedTree } from '../node/bed/images.ts';
import { programsTreePath, type ProgramsTree } from './trees.ts';
import type { ImageName } from './types.ts';

export function imageOf(image: ImageName): string {
  return `images.reprieve.test/programs-${image}:1`;
}

/** The tree as an image. */
export function archiveOf(tree: ProgramsTree): Archive {
  return {
    name: `programs-${tree.image}`,
    parts: async () => [await programsTreePath(tree)],
    images: async (folder) => {
      const layers = [await packedTree(await programsTreePath(tree), folder)];
      return [{ name: imageOf(tree.image), command: ['/bin/sh'], layers }];
    },
  };
}
