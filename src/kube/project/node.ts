import type { V1Node } from '@kubernetes/client-node';
import type { NodeName } from '../../domain/ids.ts';
import {
  CHECKPOINT_LABEL,
  COMPATIBILITY_LABEL,
  DUMP_SPEED_ANNOTATION,
  EVACUATE_ANNOTATION,
} from '../../domain/labels.ts';
import type { Node, Taint } from '../../domain/node.ts';
import type { KubeObject } from '../transport.ts';
import { isConditionTrue } from './conditions.ts';
import { metadataOf } from './metadata.ts';
import { resourcesOf } from './resource-list.ts';
import { text } from './typed.ts';
import { wireOf } from './wire.ts';
import { wishIn } from './wish.ts';

/** The domain value of a v1 Node. */
export function nodeOf(object: KubeObject): Node {
  const { spec, status } = wireOf<V1Node>(object);
  const { name, uid, resourceVersion, labels } = metadataOf(object);
  const { metadata } = object;
  const dumpSpeed = Number(metadata.annotations?.[DUMP_SPEED_ANNOTATION]);
  return {
    name: name as NodeName,
    uid,
    resourceVersion,
    labels,
    // Servers without a kubelet behind them (tests, just registered nodes) may know the capacity only.
    allocatable: resourcesOf(status?.allocatable ?? status?.capacity),
    unschedulable: spec?.unschedulable ?? false,
    ready: isConditionTrue(status?.conditions, 'Ready'),
    taints: (spec?.taints ?? []).map((taint) => ({
      key: text('spec.taints[].key', taint.key),
      value: text('spec.taints[].value', taint.value),
      effect: (text('spec.taints[].effect', taint.effect) || 'NoSchedule') as Taint['effect'],
    })),
    agentSilent: false, // the index knows that
    canCheckpoint: labels[CHECKPOINT_LABEL] === 'true',
    compatibility: labels[COMPATIBILITY_LABEL] || null,
    evacuateFor: wishIn(metadata.annotations?.[EVACUATE_ANNOTATION]),
    dumpBytesPerSecond: dumpSpeed > 0 && Number.isFinite(dumpSpeed) ? dumpSpeed : null,
  };
}
