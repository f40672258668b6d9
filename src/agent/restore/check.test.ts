import { describe, expect, it } from 'vitest';
import type { OciSpec } from '../runtime/oci-spec.ts';
import { securityContextOf } from '../runtime/security-context.ts';
import { makeManifest } from '../state/make-manifest.ts';
import { check, type RestoreFacts } from './check.ts';

const FACTS: RestoreFacts = { namespace: 'shop', container: 'web', image: 'sha256:1', compatibility: 'x86-1' };
const SPEC = {
  process: {
    user: { uid: 1000, gid: 1000, additionalGids: [3, 2] },
    capabilities: { bounding: ['CAP_CHOWN', 'CAP_KILL'], effective: ['CAP_CHOWN'] },
    noNewPrivileges: true,
    apparmorProfile: 'cri-containerd.apparmor.d',
    selinuxLabel: 'system_u:system_r:container_t:s0:c1,c2',
  },
  root: { readonly: false },
  mounts: [{ destination: '/proc' }, { destination: '/cache', source: '/here' }],
  linux: {
    cgroupsPath: '/pods/a',
    seccomp: { defaultAction: 'SCMP_ACT_ERRNO' },
    maskedPaths: ['/proc/kcore'],
    readonlyPaths: ['/proc/bus'],
    namespaces: [{ type: 'pid' }, { type: 'network', path: '/proc/7/ns/net' }],
  },
} satisfies OciSpec;

function manifest(): ReturnType<typeof makeManifest> {
  return makeManifest({
    containers: [{ name: 'web', image: 'sha256:1', security: securityContextOf(SPEC), mounts: ['/cache', '/proc'] }],
  });
}

function withProcess(parts: OciSpec['process']): OciSpec {
  return { ...SPEC, process: { ...SPEC.process, ...parts } };
}

describe('check', () => {
  it('agrees to the same pod again, with other paths of the node, another order and another level', () => {
    const again: OciSpec = {
      ...SPEC,
      process: {
        ...SPEC.process,
        user: { uid: 1000, gid: 1000, additionalGids: [2, 3] },
        capabilities: { effective: ['CAP_CHOWN'], bounding: ['CAP_KILL', 'CAP_CHOWN'] },
        selinuxLabel: 'system_u:system_r:container_t:s0:c7,c9',
      },
      mounts: [{ destination: '/cache', source: '/there' }, { destination: '/proc' }],
      linux: {
        ...SPEC.linux,
        cgroupsPath: '/pods/b',
        namespaces: [{ type: 'network', path: '/proc/9/ns/net' }, { type: 'pid' }],
      },
    };
    expect(check(manifest(), again, FACTS)).toBeNull();
  });

  it.each<[string, OciSpec, Partial<RestoreFacts>, string, string]>([
    ['another namespace', SPEC, { namespace: 'x' }, 'OwnerDiffers', 'saved in namespace shop, the pod is in x'],
    ['another class', SPEC, { compatibility: null }, 'Incompatible', 'of class x86-1, this one is of unknown'],
    ['another image', SPEC, { image: 'sha256:2' }, 'ImagesDiffer', 'image sha256:1, the pod has sha256:2'],
    ['a container that was not saved', SPEC, { container: 'y' }, 'ImagesDiffer', 'no container y was saved'],
    [
      'another user',
      withProcess({ user: { uid: 0, gid: 1000, additionalGids: [2, 3] } }),
      {},
      'SecurityContextDiffers',
      'web: uid was 1000, the pod has 0',
    ],
    [
      'another group',
      withProcess({ user: { uid: 1000, gid: 1000, additionalGids: [2] } }),
      {},
      'SecurityContextDiffers',
      'additionalGids had 3, the pod has not',
    ],
    [
      'a capability less',
      withProcess({ capabilities: { bounding: ['CAP_KILL', 'CAP_CHOWN'] } }),
      {},
      'SecurityContextDiffers',
      'capabilities had effective:CAP_CHOWN',
    ],
    [
      'a capability more',
      withProcess({ capabilities: { ...SPEC.process.capabilities, permitted: ['CAP_KILL'] } }),
      {},
      'SecurityContextDiffers',
      'had not permitted:CAP_KILL, the pod has',
    ],
    [
      'new privileges',
      withProcess({ noNewPrivileges: false }),
      {},
      'SecurityContextDiffers',
      'noNewPrivileges was true',
    ],
    [
      'no AppArmor',
      withProcess({ apparmorProfile: '' }),
      {},
      'SecurityContextDiffers',
      'apparmorProfile was cri-containerd.apparmor.d, the pod has none',
    ],
    [
      'another SELinux type',
      withProcess({ selinuxLabel: 'system_u:system_r:spc_t:s0' }),
      {},
      'SecurityContextDiffers',
      'selinuxLabel was',
    ],
    [
      'a root filesystem that is read-only',
      { ...SPEC, root: { readonly: true } },
      {},
      'SecurityContextDiffers',
      'readonlyRootfs was false, the pod has true',
    ],
    ['no seccomp', { ...SPEC, linux: { ...SPEC.linux, seccomp: null } }, {}, 'SecurityContextDiffers', 'seccomp was'],
    [
      'less masked',
      { ...SPEC, linux: { ...SPEC.linux, maskedPaths: [] } },
      {},
      'SecurityContextDiffers',
      'maskedPaths had /proc/kcore',
    ],
    [
      'less read-only',
      { ...SPEC, linux: { ...SPEC.linux, readonlyPaths: [] } },
      {},
      'SecurityContextDiffers',
      'readonlyPaths had /proc/bus',
    ],
    [
      'a device',
      { ...SPEC, linux: { ...SPEC.linux, devices: [{ path: '/dev/x', type: 'c' }] } },
      {},
      'SecurityContextDiffers',
      'devices had not /dev/x',
    ],
    [
      'the network of another',
      { ...SPEC, linux: { ...SPEC.linux, namespaces: [{ type: 'pid' }] } },
      {},
      'SecurityContextDiffers',
      'namespaces had network:shared',
    ],
    [
      'a mount less',
      { ...SPEC, mounts: [{ destination: '/proc' }] },
      {},
      'MountsDiffer',
      'web had a mount at /cache, the pod has none',
    ],
    [
      'a mount more',
      { ...SPEC, mounts: [...SPEC.mounts, { destination: '/token' }] },
      {},
      'MountsDiffer',
      'the pod has a mount at /token, web had none',
    ],
  ])('refuses %s', (_, spec, facts, reason, message) => {
    expect(check(manifest(), spec, { ...FACTS, ...facts })).toEqual({
      reason,
      message: expect.stringContaining(message) as string,
    });
  });
});
