import { createHash } from 'node:crypto';
import { customResourceDefinition, type CustomResource } from './definition.ts';

/**
 * SHA-256 of what the CRDs accept and store, one line a revision, oldest first. Lines are added and never changed: a cluster
 * tells by the number of its revision whether its CRDs are those this program writes to, or older ones.
 */
const REVISIONS: readonly string[] = [
  '1336ddc6882495a4646f598ec8a1c5763f8052201133be3504ec7326e46faf76',
  '493f08d8b2e7bef04ff5348eb98420fc2397fa145b3919998e933d1a615fe85f',
  'd265996257dd08919fa7426316840b21456b7e71793877bae1bbacfa3f83a90c',
  '67f0bfb558af28cba423885fc38c389b8234be15a81c1c1c3671eb20dc98de3c',
  '20f3e703879a6d67be411e061cef44fc34e7be2b322bf04ca7969c969ed3c0be',
  '1a056565171063b65bd60aa72ad894a8a44d078f9ce9272443bffadc6d798741',
  '7383f359ade1f58fed6931ee7229a891e1c7d2d9236ffc9cbb75caa1d93addd5',
  '24077a8e506d9b90d9d37c08480936b71a6a5144e94134359d4e65ec40c4d7eb',
  'a0d91a802d3fde2592f1b06ac00f0dcaf1d1e721ef20e8185590bddc3e0815e7',
  'b1306806867b5294af70e0b5ce06e57c9a0353e9b2459a895f280372e55bead7',
];

/** Of the CRDs as they are generated now; the annotation {@link REVISION_ANNOTATION} of each has it. */
export const CRD_REVISION = REVISIONS.length;

/** The hash that was recorded with the present revision. */
export const RECORDED_HASH = REVISIONS.at(-1);

/** The hash of the CRDs as the tables make them. Words for people are left out: a better description is no new revision. */
export function hashOf(resources: readonly CustomResource[]): string {
  const specs = resources.map((custom) => customResourceDefinition(custom, CRD_REVISION)['spec']);
  const text = JSON.stringify(specs, (key, value: unknown) =>
    key === 'description' && typeof value === 'string' ? undefined : value,
  );
  return createHash('sha256').update(text).digest('hex');
}
