import { createHash } from 'node:crypto';
import type { OciSpec } from './oci-spec.ts';

/**
 * What the processes of a container are allowed, in a form that is equal for equal permissions: a restored process keeps
 * the rights it was saved with, whatever the new pod says, so they must be the same.
 */
export interface SecurityContext {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** `<set>:<capability>`, sorted. */
  readonly capabilities: readonly string[];
  readonly noNewPrivileges: boolean;
  readonly apparmorProfile: string;
  /** Without the level: runtimes choose it anew for each pod. */
  readonly selinuxLabel: string;
  /** SHA-256 of the filter; empty for unconfined. */
  readonly seccomp: string;
  readonly readonlyRootfs: boolean;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly devices: readonly string[];
  /** `<type>`, with `:shared` where it joins one that exists. */
  readonly namespaces: readonly string[];
}

export function securityContextOf({ process = {}, root, linux = {} }: OciSpec): SecurityContext {
  const capabilities = Object.entries(process.capabilities ?? {});
  const namespaces = linux.namespaces ?? [];
  return {
    uid: process.user?.uid ?? 0,
    gid: process.user?.gid ?? 0,
    additionalGids: [...(process.user?.additionalGids ?? [])].sort((a, b) => a - b),
    capabilities: capabilities.flatMap(([set, names]) => names.map((name) => `${set}:${name}`)).sort(),
    noNewPrivileges: process.noNewPrivileges ?? false,
    apparmorProfile: process.apparmorProfile ?? '',
    selinuxLabel: (process.selinuxLabel ?? '').split(':').slice(0, 3).join(':'),
    seccomp: linux.seccomp === undefined || linux.seccomp === null ? '' : sha256(JSON.stringify(linux.seccomp)),
    readonlyRootfs: root?.readonly ?? false,
    maskedPaths: [...(linux.maskedPaths ?? [])].sort(),
    readonlyPaths: [...(linux.readonlyPaths ?? [])].sort(),
    devices: (linux.devices ?? []).map(({ path }) => path).sort(),
    namespaces: namespaces.map(({ type, path }) => (path ? `${type}:shared` : type)).sort(),
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
