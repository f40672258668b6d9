import type { V1Pod } from '@kubernetes/client-node';
import { PROBE_ANNOTATION, RESTORE_GATE, RUNTIME_CLASS } from '../domain/labels.ts';
import type { Clock } from '../ports/clock.ts';
import type { KubeClient } from './client.ts';
import { askedWithin } from './in-time.ts';
import { wireOf } from './project/wire.ts';
import { refusalOf } from './refusal.ts';
import { RESOURCES } from './resources.ts';

const ANSWER_WITHIN_MS = 5_000;

interface Asking {
  readonly client: KubeClient;
  readonly clock: Clock;
}

/**
 * Why the API server refuses a pod with our gate and RuntimeClass, and accepts it without; null where it accepts both or neither.
 * Asked by dry runs. Rejects where one got no answer.
 */
export async function refusedWithGate(
  { client, clock }: Asking,
  namespace: string,
  pod: object,
): Promise<string | null> {
  const plain = probeOf(pod);
  const { spec } = plain;
  const schedulingGates = [...(spec.schedulingGates ?? []), { name: RESTORE_GATE }];
  const gated = { ...plain, spec: { ...spec, schedulingGates, runtimeClassName: RUNTIME_CLASS } };
  const message = await refusalBy({ client, clock }, namespace, gated);
  return message !== null && (await refusalBy({ client, clock }, namespace, plain)) === null ? message : null;
}

async function refusalBy({ client, clock }: Asking, namespace: string, pod: object): Promise<string | null> {
  try {
    const ask = (late: AbortSignal) => client.createDryRun(RESOURCES.pods, namespace, pod, late);
    await askedWithin(clock, ANSWER_WITHIN_MS, ask, 'no answer within 5 s');
    return null;
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === null) throw error;
    return refusal.message;
  }
}

/** The pod as its controller sends it; its name may be taken by the one that it replaces. */
function probeOf(pod: object) {
  const { metadata, spec } = wireOf<V1Pod>(pod);
  const { name, generateName, labels, annotations, ownerReferences } = metadata ?? {};
  return {
    metadata: {
      generateName: generateName ?? `${name ?? 'probe'}-`,
      labels: labels ?? {},
      annotations: { ...annotations, [PROBE_ANNOTATION]: 'true' },
      // OwnerReferencesPermissionEnforcement would ask us for rights on the controller.
      ownerReferences: (ownerReferences ?? []).map(({ blockOwnerDeletion: _blocks, ...reference }) => reference),
    },
    spec: spec ?? {},
  };
}
