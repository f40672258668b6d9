import { clusterAddress } from './address.ts';

export interface Surroundings {
  /** In the namespace besides that of the cluster. */
  readonly addresses?: readonly string[];
  /** A line of shell that is run when the command has ended, before the kernel ends the rest. */
  readonly atEnd?: string;
}

/**
 * The command line that runs `command` in network and process namespaces of its own. Nothing outside is reachable from
 * there and nothing there from outside; and when the command ends, however it ends, the kernel ends what it left behind.
 */
export function isolated(command: readonly string[], { addresses = [], atEnd = ':' }: Surroundings = {}): string[] {
  // An ordinary user first becomes root of a user namespace, where it may configure the network.
  const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  const added = [clusterAddress, ...addresses].map((address) => `ip address add ${address}/32 dev lo`);
  const setUp = `${['ip link set lo up', ...added].join(' && ')} || exit 125`;
  const namespaces = ['--net', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'];
  // The shell stays as process 1: it takes in orphans, and a signal to the group ends the command, not the shell.
  const shell = ['sh', '-c', `${setUp}; "$@"; code=$?; ${atEnd}; exit $code`, 'sh', ...command];
  return ['unshare', ...asRoot, ...namespaces, '--', ...shell];
}
