import { z } from 'zod';
import type { Pod } from '../../domain/pod.ts';
import { quantityToInteger } from '../../domain/quantity.ts';
import { askedPodOf } from '../../kube/project/pod.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { absent, projected } from './json-body.ts';

/** Longer than any quantity that Kubernetes writes; bounds the work of reading one. */
const MAX_QUANTITY_LENGTH = 64;

const text = absent(z.string());
const flag = absent(z.boolean());
/** A null value of a Go map of strings is the empty string. */
const textMap = absent(
  z.record(
    z.string(),
    z
      .string()
      .nullable()
      .transform((value) => value ?? ''),
  ),
);
const quantities = absent(
  z.record(
    z.string(),
    z
      .union([z.string(), z.number(), z.null()], { error: () => 'a quantity' })
      .refine((value) => value === null || isQuantity(value), { error: () => 'a quantity' }),
  ),
);
const resources = absent(z.looseObject({ requests: quantities, limits: quantities }));
const condition = z.looseObject({ type: text, status: text, reason: text, message: text });
const container = z.looseObject({
  name: text,
  restartPolicy: text,
  resources,
  tty: flag,
  volumeDevices: absent(z.array(z.unknown())),
  volumeMounts: absent(z.array(z.looseObject({ name: text, mountPath: text }))),
});
const owner = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  name: z.string(),
  uid: z.string(),
  controller: flag,
});
const requirement = z.looseObject({ key: text, operator: text, values: absent(z.array(z.string())) });
const nodeAffinity = z.looseObject({
  requiredDuringSchedulingIgnoredDuringExecution: absent(
    z.looseObject({
      nodeSelectorTerms: absent(
        z.array(
          z.looseObject({ matchExpressions: absent(z.array(requirement)), matchFields: absent(z.array(requirement)) }),
        ),
      ),
    }),
  ),
});
const projectedSources = absent(z.looseObject({ sources: absent(z.array(z.looseObject({}))) }));

const metadata = z.looseObject({
  namespace: text,
  resourceVersion: text,
  creationTimestamp: text,
  deletionTimestamp: text,
  labels: textMap,
  annotations: textMap,
  ownerReferences: absent(z.array(owner)),
});

/** The fields that the projection reads, by kind; all others pass unseen. */
const podParts = {
  spec: absent(
    z.looseObject({
      schedulerName: text,
      priority: absent(z.int()),
      priorityClassName: text,
      preemptionPolicy: text,
      nodeName: text,
      runtimeClassName: text,
      hostPID: flag,
      hostIPC: flag,
      hostNetwork: flag,
      schedulingGates: absent(z.array(z.looseObject({ name: text }))),
      nodeSelector: textMap,
      affinity: absent(z.looseObject({ nodeAffinity: absent(nodeAffinity) })),
      tolerations: absent(z.array(z.looseObject({ key: text, operator: text, value: text, effect: text }))),
      containers: absent(z.array(container)),
      initContainers: absent(z.array(container)),
      resources,
      overhead: quantities,
      volumes: absent(z.array(z.looseObject({ name: text, projected: projectedSources }))),
    }),
  ),
  status: absent(
    z.looseObject({
      phase: text,
      startTime: text,
      nominatedNodeName: text,
      conditions: absent(z.array(condition)),
      containerStatuses: absent(z.array(z.looseObject({ name: text, allocatedResources: quantities, resources }))),
    }),
  ),
};

/** A v1.Pod as kube-scheduler sends it: it has a name and a UID. */
export const podSchema = z.looseObject({
  metadata: metadata.extend({ name: z.string().min(1), uid: z.string().min(1) }),
  ...podParts,
});

/** A v1.Pod that is not stored yet: the name may not be chosen, and there is no UID. */
export const newPodSchema = z.looseObject({
  metadata: metadata.extend({ name: text, generateName: text, uid: text }),
  ...podParts,
});

/** The domain value of a pod that passed one of the schemas. */
export function readPod(field: string, raw: z.output<typeof podSchema> | z.output<typeof newPodSchema>): Pod {
  const object = { ...raw, metadata: { ...raw.metadata, name: raw.metadata.name ?? '' } };
  return projected(field, 'a v1 Pod', () => askedPodOf(object as unknown as KubeObject));
}

function isQuantity(value: string | number): boolean {
  if (typeof value === 'string' && value.length > MAX_QUANTITY_LENGTH) return false;
  try {
    quantityToInteger(String(value));
    return true;
  } catch {
    return false;
  }
}
