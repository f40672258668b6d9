import type { V1Container, V1PodSpec } from '@kubernetes/client-node';
import { RUNTIME_CLASS } from '../../domain/labels.ts';
import type { Wire } from './wire.ts';

/**
 * Why nothing will ever be able to checkpoint a pod with this spec, in words for the user; null where the spec allows
 * it. What only the node knows (open devices, io_uring) the agent finds out.
 */
export function notCheckpointableReason(spec: Wire<V1PodSpec> | null | undefined): string | null {
  if (!spec) return null;
  if (spec.hostPID) return 'hostPID';
  if (spec.hostIPC) return 'hostIPC';
  if (spec.shareProcessNamespace) return 'shareProcessNamespace';
  if (spec.runtimeClassName && spec.runtimeClassName !== RUNTIME_CLASS) {
    return `its runtime class is ${spec.runtimeClassName}`;
  }
  for (const { name, hostPath } of spec.volumes ?? []) {
    // Its files stay behind, and what a process has open of them would be missing on another node.
    if (hostPath) return `volume ${name ?? ''} is a hostPath`;
  }
  for (const container of spec.containers ?? []) {
    const reason = containerReason(container);
    if (reason !== null) return reason;
  }
  for (const init of spec.initContainers ?? []) {
    // The others have ended before there is anything to save.
    const reason = init.restartPolicy === 'Always' ? containerReason(init) : null;
    if (reason !== null) return reason;
  }
  return null;
}

function containerReason(container: Wire<V1Container>): string | null {
  if (container.tty) return `container ${container.name ?? ''} has a tty`;
  if (container.volumeDevices && container.volumeDevices.length > 0) {
    return `container ${container.name ?? ''} has a raw block volume`;
  }
  const device = gpuIn(container.resources?.requests) ?? gpuIn(container.resources?.limits);
  return device === null ? null : `container ${container.name ?? ''} has ${device}`;
}

function gpuIn(list: Readonly<Record<string, unknown>> | null | undefined): string | null {
  for (const name in list) {
    // Extended resources have a domain; the check keeps `cpu` and `memory` off the slower path.
    if (name.includes('/') && name.toLowerCase().includes('gpu') && String(list[name]) !== '0') return name;
  }
  return null;
}
