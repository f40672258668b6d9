import type { V1PodDisruptionBudget } from '@kubernetes/client-node';
import type { DisruptionBudget } from '../../domain/disruption-budget.ts';
import { selectorOf } from '../../domain/selector.ts';
import type { KubeObject } from '../transport.ts';
import { metadataOf } from './metadata.ts';
import { wholeNumber } from './typed.ts';
import { wireOf } from './wire.ts';

/** The domain value of a policy/v1 PodDisruptionBudget. Without a status nothing may be disrupted, as in Kubernetes. */
export function disruptionBudgetOf(object: KubeObject): DisruptionBudget {
  const { spec, status } = wireOf<V1PodDisruptionBudget>(object);
  const { namespace, name, uid, resourceVersion } = metadataOf(object);
  const desired = wholeNumber('status.desiredHealthy', status?.desiredHealthy);
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    selector: spec?.selector ? selectorOf(spec.selector) : null,
    disruptionsAllowed: wholeNumber('status.disruptionsAllowed', status?.disruptionsAllowed),
    isMet: desired > 0 && wholeNumber('status.currentHealthy', status?.currentHealthy) >= desired,
    ignoresUnhealthy: spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow',
    disruptedPods: Object.keys(status?.disruptedPods ?? {}),
  };
}
