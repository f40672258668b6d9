import { runCommand } from './command.ts';
import { isolated } from './network.ts';

/** What the cluster tests use of the machine: how to see that it is there, and what to do when it is not. */
const needs = [
  {
    probe: ['go', 'version'],
    remedy: 'install Go (https://go.dev/dl; the release that the wanted Kubernetes is built with, or a later one)',
  },
  { probe: ['openssl', 'req', '-help'], remedy: 'apt-get install -y openssl (3.0 or later)' },
  { probe: ['ip', '-V'], remedy: 'apt-get install -y iproute2' },
  { probe: ['unshare', '--version'], remedy: 'apt-get install -y util-linux' },
] as const;

/** One line for each thing that is missing, with its remedy. */
export async function missingPrerequisites(): Promise<string[]> {
  if (process.platform !== 'linux') return [`the cluster tests need Linux, this is ${process.platform}`];
  const missing: string[] = [];
  for (const { probe, remedy } of needs) {
    const [command, ...args] = probe;
    const works = await runCommand(command, args).catch(() => null);
    if (works === null) missing.push(`"${probe.join(' ')}" does not work: ${remedy}`);
  }
  if (missing.length > 0) return missing;
  // Whether namespaces may be made depends on more than the user: containers and security modules forbid it too.
  const [command, ...args] = isolated(['true']) as [string, ...string[]];
  return runCommand(command, args).then(
    () => [],
    (error: Error) => [
      `cannot make a network namespace: run as root, or allow user namespaces ` +
        `(sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0): ${error.message}`,
    ],
  );
}
