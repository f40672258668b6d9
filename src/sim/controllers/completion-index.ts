import type { KubeObject } from '../../kube/transport.ts';

/** Label and annotation of an indexed Job's pods, and the name of the environment variable in their containers. */
export const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index';
export const COMPLETION_INDEX_ENV = 'JOB_COMPLETION_INDEX';

/** Annotation of the pods of a Job with `backoffLimitPerIndex`: how many pods of the index it has counted as failed. */
export const INDEX_FAILURES = 'batch.kubernetes.io/job-index-failure-count';

/** The index of a pod, or null where it has none. */
export function completionIndexOf(pod: KubeObject): number | null {
  return numberIn(pod, COMPLETION_INDEX);
}

/** Of the pods of its index before this one. */
export function indexFailuresOf(pod: KubeObject): number {
  return numberIn(pod, INDEX_FAILURES) ?? 0;
}

function numberIn({ metadata }: KubeObject, annotation: string): number | null {
  const text = metadata.annotations?.[annotation];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}

/** `"0,2-4"` as numbers. */
export function parseIndexes(text: string | null | undefined): ReadonlySet<number> {
  const indexes = new Set<number>();
  for (const part of (text ?? '').split(',')) {
    const [first, last] = part.split('-').map(Number);
    if (part === '' || first === undefined) continue;
    for (let index = first; index <= (last ?? first); index++) indexes.add(index);
  }
  return indexes;
}

/** The inverse of {@link parseIndexes}: three or more neighbours become a range, as the real controller writes it. */
export function formatIndexes(indexes: Iterable<number>): string {
  const sorted = [...indexes].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let at = 0; at < sorted.length;) {
    const first = sorted[at] as number;
    let length = 1;
    while (sorted[at + length] === first + length) length++;
    if (length === 2) parts.push(String(first), String(first + 1));
    else parts.push(length === 1 ? String(first) : `${first}-${first + length - 1}`);
    at += length;
  }
  return parts.join(',');
}
