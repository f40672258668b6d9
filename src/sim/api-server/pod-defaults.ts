import { timestampOf, type Draft } from './api-object.ts';
import { isRecord, listAt, recordAt, textAt, type JsonRecord } from './json.ts';

/** `SetDefaults_Pod*` of k8s.io/kubernetes/pkg/apis/core/v1/defaults.go, as far as a pod that runs in the simulation shows them. */
export function defaultPod(draft: Draft): void {
  if (!isRecord(draft['spec'])) return; // validation says what is missing
  const spec: JsonRecord = {
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    schedulerName: 'default-scheduler',
    terminationGracePeriodSeconds: 30,
    enableServiceLinks: true,
    securityContext: {},
    ...draft['spec'],
  };
  spec['containers'] = listAt(spec, 'containers').map(defaultContainer);
  if (Array.isArray(spec['initContainers'])) spec['initContainers'] = spec['initContainers'].map(defaultContainer);
  draft['spec'] = spec;
}

function defaultContainer(container: unknown): unknown {
  if (!isRecord(container)) return container;
  const image = textAt(container, 'image');
  const tag = /:([^/:@]+)$/.exec(image)?.[1] ?? (image.includes('@') ? 'digest' : 'latest');
  const resources = recordAt(container, 'resources');
  return {
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: tag === 'latest' ? 'Always' : 'IfNotPresent',
    ...container,
    // A limit without a request is the request too.
    resources: isRecord(resources['limits'])
      ? { ...resources, requests: { ...resources['limits'], ...recordAt(resources, 'requests') } }
      : resources,
  };
}

/** `PrepareForCreate` of the pod strategy: whatever status came along is dropped. */
export function initialPodStatus(draft: Draft, nowMs: number): void {
  const status: JsonRecord = { phase: 'Pending', qosClass: qosClassOf(draft) };
  if (listAt(draft['spec'], 'schedulingGates').length > 0) {
    const condition: JsonRecord = {
      type: 'PodScheduled',
      status: 'False',
      lastTransitionTime: timestampOf(nowMs),
      reason: 'SchedulingGated',
      message: 'Scheduling is blocked due to non-empty scheduling gates',
    };
    status['conditions'] = [condition];
  }
  draft['status'] = status;
}

/** Quantities are compared as they are written: one written in two ways makes a pod Burstable here. */
function qosClassOf(draft: Draft): string {
  const containers = [...listAt(draft['spec'], 'containers'), ...listAt(draft['spec'], 'initContainers')];
  let isGuaranteed = containers.length > 0;
  let isBestEffort = true;
  for (const container of containers) {
    const resources = recordAt(container, 'resources');
    const [requests, limits] = [recordAt(resources, 'requests'), recordAt(resources, 'limits')];
    for (const name of ['cpu', 'memory']) {
      const [request, limit] = [requests[name], limits[name]];
      if (request !== undefined || limit !== undefined) isBestEffort = false;
      if (limit === undefined || request !== limit) isGuaranteed = false;
    }
  }
  if (isBestEffort) return 'BestEffort';
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}

/** Sets a condition as `UpdatePodCondition` does: the transition time moves only with the status. */
export function withPodCondition(
  status: Readonly<JsonRecord>,
  condition: { readonly type: string; readonly status: string; readonly reason?: string; readonly message?: string },
  nowMs: number,
): JsonRecord {
  const conditions = listAt(status, 'conditions');
  const at = conditions.findIndex((other) => isRecord(other) && other['type'] === condition.type);
  const old = conditions[at];
  const isSameStatus = isRecord(old) && old['status'] === condition.status;
  const next = {
    ...condition,
    lastTransitionTime: isSameStatus ? old['lastTransitionTime'] : timestampOf(nowMs),
  };
  return { ...status, conditions: at < 0 ? [...conditions, next] : conditions.with(at, next) };
}
