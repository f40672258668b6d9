import type { OciSpec } from '../runtime/oci-spec.ts';

/** What the processes of a new container may have. */
export interface ContainerRights {
  readonly spec: OciSpec;
  /** What the runtime itself has, which a container gets where its spec says nothing. */
  readonly runtime: {
    readonly nice: number;
    readonly loginuid: number;
    /** Hard limits by the number of the resource (`RLIMIT_*`); only those that {@link CHECKED_LIMITS} names. */
    readonly limits: ReadonlyMap<number, number>;
  };
  /** The settings of the IPC namespace of the pod, in the order of `IPC_SETTINGS`; null where it is the node's. */
  readonly ipc: readonly number[] | null;
  /** Whether this kernel has a file below /proc or /sys. */
  readonly exists: (path: string) => boolean;
}

/** Resources of the node that no cgroup bounds: memory that is locked, a higher priority, realtime. Resource -> its name in /proc. */
export const CHECKED_LIMITS = new Map([
  [8, 'Max locked memory'],
  [13, 'Max nice priority'],
  [14, 'Max realtime priority'],
]);

/** What the kernel has for no limit. */
export const UNLIMITED = 2 ** 64 - 1;
/** Limits as the OCI specification calls them, in the order of the kernel (include/uapi/asm-generic/resource.h) and of the images. */
export const LIMITS =
  'CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME'
    .split(' ')
    .map((name) => `RLIMIT_${name}`);

/** In the order of the kernel (include/uapi/linux/capability.h). */
const CAPABILITIES = [
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST',
  'NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE',
  'SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM',
  'BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE',
].flatMap((line) => line.split(' ').map((name) => `CAP_${name}`));

/** The names in two words of 32 bits; one that has no name here is called by its number. */
export function capabilitiesIn([low = 0, high = 0, ...more]: readonly number[]): readonly string[] {
  const isSet = (at: number): boolean => (((at < 32 ? low : high) >>> (at % 32)) & 1) === 1;
  const names = Array.from({ length: 64 }, (_, at) => at)
    .filter(isSet)
    .map((at) => CAPABILITIES[at] ?? `capability ${at}`);
  return more.length === 0 ? names : [...names, 'an unknown capability'];
}

/** Whether a process of the container can come by this capability. */
export function mayHave({ spec }: Pick<ContainerRights, 'spec'>, capability: string): boolean {
  return spec.process?.capabilities?.['bounding']?.includes(capability) ?? false;
}
