import type { V1Container, V1PodSpec, V1Volume } from '@kubernetes/client-node';
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
  if (spec.hostUsers === false) return 'hostUsers: false (CRIU restores no user namespace under runc)';
  for (const volume of spec.volumes ?? []) {
    const reason = volumeReason(volume);
    if (reason !== null) return reason;
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
  return lateInitContainer(spec);
}

function volumeReason({ name = '', hostPath, ephemeral, csi }: Wire<V1Volume>): string | null {
  // Its files stay behind, and what a process has open of them would be missing on another node.
  if (hostPath) return `volume ${name} is a hostPath`;
  // The next pod gets a new volume, which is empty.
  if (ephemeral) return `volume ${name} is a generic ephemeral volume; use an emptyDir or a persistentVolumeClaim`;
  if (csi && csi.readOnly !== true) {
    return `volume ${name} is an inline CSI volume that can be written to; use an emptyDir or a persistentVolumeClaim`;
  }
  return null;
}

/**
 * Init containers run again in the pod that continues. Before the first sidecar that does no harm: the volumes are filled after
 * them. One that follows a sidecar would write into the restored volumes.
 */
function lateInitContainer({ initContainers, volumes }: Wire<V1PodSpec>): string | null {
  const inits = initContainers ?? [];
  const sidecarAt = inits.findIndex(({ restartPolicy }) => restartPolicy === 'Always');
  if (sidecarAt === -1) return null;
  const filled = new Set((volumes ?? []).filter(({ emptyDir }) => emptyDir).map(({ name }) => name));
  const late = inits
    .slice(sidecarAt)
    .find(
      ({ restartPolicy, volumeMounts }) =>
        restartPolicy !== 'Always' && (volumeMounts ?? []).some(({ name, readOnly }) => !readOnly && filled.has(name)),
    );
  if (late === undefined) return null;
  const { name = '' } = inits[sidecarAt] ?? {};
  return `init container ${late.name ?? ''} runs after sidecar ${name} and would write to the restored volumes; list it before`;
}

function containerReason(container: Wire<V1Container>): string | null {
  if (container.tty) return `container ${container.name ?? ''} has a tty`;
  if (container.volumeDevices && container.volumeDevices.length > 0) {
    return `container ${container.name ?? ''} has a raw block volume`;
  }
  if (container.lifecycle?.postStart) {
    return `the postStart hook of container ${container.name ?? ''} would run again; use an init container`;
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
