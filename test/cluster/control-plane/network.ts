import { clusterAddress } from './address.ts';

/**
 * The command line that runs `command` in network and process namespaces of its own. Nothing outside is reachable from
 * there and nothing there from outside; and when the command ends, however it ends, the kernel ends what it left behind.
 */
export function isolated(command: readonly string[]): string[] {
  // An ordinary user first becomes root of a user namespace, where it may configure the network.
  const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  const setUp = `ip link set lo up && ip address add ${clusterAddress}/32 dev lo || exit 125`;
  const namespaces = ['--net', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'];
  // The shell stays as process 1: it takes in orphans, and a signal to the group ends the command, not the shell.
  const shell = ['sh', '-c', `${setUp}; "$@"; exit $?`, 'sh', ...command];
  return ['unshare', ...asRoot, ...namespaces, '--', ...shell];
}
