import type { V1Container, V1Pod } from '@kubernetes/client-node';
import { addResources, NO_RESOURCES, type Resources } from '../../domain/resources.ts';
import { resourcesOf } from './resource-list.ts';
import type { Wire } from './wire.ts';

/**
 * What kube-scheduler reserves for a pod (`PodRequests` of k8s.io/component-helpers/resource): the larger of what runs
 * side by side (containers and restartable init containers) and of what each init container needs in its turn, replaced
 * by the pod-level requests where those are set, plus the overhead of the runtime class. `pods` is 1.
 */
export function podRequestsOf(pod: Wire<V1Pod>): Resources {
  const spec = pod.spec;
  const containers = spec?.containers ?? [];
  const inits = spec?.initContainers ?? [];
  const resized = resizedRequests(pod);
  let running = NO_RESOURCES;
  for (const container of containers) running = addResources(running, requestsOf(container, resized));
  let peak = NO_RESOURCES;
  let restartable = NO_RESOURCES;
  for (const init of inits) {
    const own = requestsOf(init, resized);
    if (init.restartPolicy === 'Always') {
      restartable = addResources(restartable, own);
      peak = maxResources(peak, restartable);
    } else {
      peak = maxResources(peak, addResources(restartable, own));
    }
  }
  let total = inits.length === 0 ? running : maxResources(addResources(running, restartable), peak);
  if (spec?.resources?.requests) total = override(total, spec.resources.requests);
  if (spec?.overhead) total = addResources(total, resourcesOf(spec.overhead));
  return total.pods === 1 ? total : { ...total, pods: 1 };
}

function requestsOf(container: Wire<V1Container>, resized: ReadonlyMap<string, Resources> | null): Resources {
  const requests = resourcesOf(container.resources?.requests);
  const actual = resized?.get(container.name ?? '');
  return actual === undefined ? requests : maxResources(requests, actual);
}

/** While a pod is being resized in place, kube-scheduler counts the larger of what is asked and of what the node still gives. */
function resizedRequests(pod: Wire<V1Pod>): ReadonlyMap<string, Resources> | null {
  const resizing = pod.status?.conditions?.some(
    (condition) => condition.type === 'PodResizeInProgress' || condition.type === 'PodResizePending',
  );
  if (!resizing) return null;
  const byContainer = new Map<string, Resources>();
  for (const status of pod.status?.containerStatuses ?? []) {
    const given = maxResources(resourcesOf(status.allocatedResources), resourcesOf(status.resources?.requests));
    byContainer.set(status.name ?? '', given);
  }
  return byContainer;
}

function maxResources(a: Resources, b: Resources): Resources {
  let extended = a.extended;
  if (b.extended !== null) {
    const larger: Record<string, number> = { ...a.extended };
    for (const name in b.extended) larger[name] = Math.max(larger[name] ?? 0, b.extended[name] ?? 0);
    extended = larger;
  }
  return {
    cpuMilli: Math.max(a.cpuMilli, b.cpuMilli),
    memoryBytes: Math.max(a.memoryBytes, b.memoryBytes),
    ephemeralBytes: Math.max(a.ephemeralBytes, b.ephemeralBytes),
    pods: Math.max(a.pods, b.pods),
    extended,
  };
}

/** Pod-level requests exist for cpu, memory and huge pages; each replaces the sum over the containers. */
function override(total: Resources, podLevel: Readonly<Record<string, string | null | undefined>>): Resources {
  const given = resourcesOf(podLevel);
  const extended = given.extended === null ? total.extended : { ...total.extended, ...given.extended };
  return {
    ...total,
    cpuMilli: podLevel['cpu'] === undefined ? total.cpuMilli : given.cpuMilli,
    memoryBytes: podLevel['memory'] === undefined ? total.memoryBytes : given.memoryBytes,
    extended,
  };
}
