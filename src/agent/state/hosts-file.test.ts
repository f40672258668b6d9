import { describe, expect, it } from 'vitest';
import { hostsFile, withAddedHosts } from './hosts-file.ts';

const kubelet = (ip: string, name: string): string => `# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
fe00::2\tip6-allrouters
${ip}\t${name}

# Entries added by HostAliases.
10.8.8.8\talias
`;

describe('withAddedHosts', () => {
  it('adds what a program has added, and keeps the address of the new pod', () => {
    const saved = `${kubelet('10.1.0.2', 'web-0')}10.9.9.9 added-by-program\n`;
    const now = kubelet('10.2.0.7', 'web-0');
    expect(withAddedHosts(now, saved, 'web-0')).toBe(`${now}10.9.9.9 added-by-program\n`);
  });

  it('drops the line of the saved pod where the new one has another name', () => {
    const now = kubelet('10.2.0.7', 'job-7xk2p');
    expect(withAddedHosts(now, kubelet('10.1.0.2', 'job-b9fqz'), 'job-b9fqz')).toBe(now);
  });
});

describe('hostsFile', () => {
  const of = (source: string, type = 'network'): string | null =>
    hostsFile({
      podUid: 'u1',
      spec: { mounts: [{ destination: '/etc/hosts', source }], linux: { namespaces: [{ type }] } },
    });

  it('is the one of the kubelet, and none that somebody has mounted there', () => {
    expect(of('/var/lib/kubelet/pods/u1/etc-hosts')).toBe('/var/lib/kubelet/pods/u1/etc-hosts');
    expect(of('/var/lib/kubelet/pods/u1/volumes/kubernetes.io~configmap/hosts')).toBeNull();
    expect(hostsFile({ podUid: 'u1', spec: {} })).toBeNull();
    expect(of('/var/lib/kubelet/pods/u1/etc-hosts', 'ipc')).toBeNull();
  });
});
