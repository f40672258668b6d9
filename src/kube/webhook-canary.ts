import { CANARY_ANNOTATION, CANARY_ANSWER_ANNOTATION } from '../domain/labels.ts';
import type { KubeClient } from './client.ts';
import { API_GROUP, API_VERSION, RESOURCES } from './resources.ts';

/**
 * Namespace of the canaries (deploy/namespace.yaml). The webhook configuration must select it like the namespaces of protected
 * pods. A canary has the labels of this namespace, so an `objectSelector` is met by labels here as well.
 */
export const CANARY_NAMESPACE = 'reprieve-canary';

export interface Canary {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly nonce: string;
}

/**
 * Creates a pod as a dry run, and returns whether the webhook added the nonce. kube-apiserver calls it on the way of every other
 * pod: rules, matchConditions, selectors, Service and certificate. Rejects with `KubeApiError` where the pod was refused, and
 * with `TransportError` where there was no answer: neither shows anything.
 */
export async function isReviewed(client: KubeClient, canary: Canary, signal: AbortSignal): Promise<boolean> {
  const answer = await client.createDryRun(RESOURCES.pods, canary.namespace, canaryPod(canary), signal);
  return answer.metadata.annotations?.[CANARY_ANSWER_ANNOTATION] === canary.nonce;
}

/** A pod as a controller makes them, within every Pod Security level and with the amounts that a ResourceQuota may ask for. */
function canaryPod({ labels, nonce }: Canary): object {
  const amounts = { cpu: '1m', memory: '1Mi' };
  return {
    metadata: {
      generateName: 'reprieve-canary-',
      labels,
      annotations: { [CANARY_ANNOTATION]: nonce },
      ownerReferences: [
        {
          apiVersion: `${API_GROUP}/${API_VERSION}`,
          kind: 'Canary',
          name: 'canary',
          uid: '00000000-0000-0000-0000-000000000000',
          controller: true,
        },
      ],
    },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 65_534, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'canary',
          image: 'reprieve.dev/canary:never-run',
          resources: { requests: amounts, limits: amounts },
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  };
}
