import type { Pod } from '../../domain/pod.ts';
import type { Resources } from '../../domain/resources.ts';
import type { ClusterView } from '../../index/types.ts';

/**
 * What of the requests of a pod kube-scheduler compares with nodes. It can be told to leave extended resources to an extender
 * (`ignoredResources`, `ignoredByScheduler`), and no node lists such a resource then: only the extender knows how much there is.
 */
export function countedRequests(view: ClusterView, { requests }: Pick<Pod, 'requests'>): Resources {
  let extended: Record<string, number> | null = null;
  let ignored = 0;
  for (const name in requests.extended) {
    if (view.isListed(name)) (extended ??= {})[name] = requests.extended[name] ?? 0;
    else ignored++;
  }
  return ignored === 0 ? requests : withExtended(requests, extended);
}

const REDUCED = new WeakMap<Resources, Resources>();

/** One object for all pods that share their requests, by which sorts of pods are told apart. */
function withExtended(requests: Resources, extended: Record<string, number> | null): Resources {
  const known = REDUCED.get(requests);
  if (known !== undefined && sameKeys(known.extended, extended)) return known;
  const reduced = { ...requests, extended };
  REDUCED.set(requests, reduced);
  return reduced;
}

function sameKeys(a: Resources['extended'], b: Resources['extended']): boolean {
  return Object.keys(a ?? {}).join(' ') === Object.keys(b ?? {}).join(' ');
}
