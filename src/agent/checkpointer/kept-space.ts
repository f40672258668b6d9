import { readFile, stat, statfs } from 'node:fs/promises';
import { parse } from 'yaml';

/** Parts of the KubeletConfiguration that say how much of the disk has to be free. */
interface KubeletConfiguration {
  readonly evictionHard?: Readonly<Record<string, string>>;
  readonly mergeDefaultEvictionSettings?: boolean;
}

/** What the kubelet does where its configuration says nothing (pkg/kubelet/apis/config/v1beta1/defaults_linux.go). */
const DEFAULTS = { 'nodefs.available': '10%', 'imagefs.available': '15%' };
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};
/** The kubelet looks every ten seconds, and acts on what it sees: so much above its threshold. */
const MARGIN = 1.05;

export interface KeptSpaceOptions {
  readonly stateDir: string;
  readonly kubeletDir: string;
  /** The file of the kubelet; one that is not there means its defaults. */
  readonly kubeletConfig: string;
  readonly reserveBytes: number;
}

/**
 * How much a dump must leave free on the disk of the states: the reserve, and where the kubelet keeps its pods on the same disk, more
 * than the threshold at which it evicts pods.
 */
export async function keptBytes({
  stateDir,
  kubeletDir,
  kubeletConfig,
  reserveBytes,
}: KeptSpaceOptions): Promise<number> {
  const [state, kubelet] = await Promise.all([stat(stateDir), stat(kubeletDir).catch(() => null)]);
  if (kubelet === null || kubelet.dev !== state.dev) return reserveBytes;
  const text = await readFile(kubeletConfig, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return '';
    throw error;
  });
  const { blocks, bsize } = await statfs(stateDir);
  return Math.max(reserveBytes, Math.ceil(MARGIN * evictionBytes(text, blocks * bsize)));
}

/** The largest threshold of a disk of this size in the text of a KubeletConfiguration; 0 where it has none. */
export function evictionBytes(text: string, diskBytes: number): number {
  const { evictionHard, mergeDefaultEvictionSettings = false } = (parse(text) ?? {}) as KubeletConfiguration;
  // A list of its own replaces that of the kubelet.
  const defaults = evictionHard === undefined || mergeDefaultEvictionSettings ? DEFAULTS : {};
  const thresholds: Readonly<Record<string, string>> = { ...defaults, ...evictionHard };
  const bytes = Object.keys(DEFAULTS).map((signal) => bytesOf(thresholds[signal] ?? '0', diskBytes));
  return Math.max(...bytes);
}

function bytesOf(threshold: string, diskBytes: number): number {
  const [, number = '0', unit = ''] = /^([0-9.]+)(%|[KMGT]i|[kMGT]|)$/.exec(threshold) ?? [];
  return Number(number) * (unit === '%' ? diskBytes / 100 : (UNITS[unit] as number));
}
