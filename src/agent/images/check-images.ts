import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkCgroups } from './cgroups.ts';
import type { ContainerRights } from './container-rights.ts';
import { decodeImage, ImageRefused, type Message } from './decode.ts';
import { checkDescriptor, checkFile, checkGhost, checkTerminal } from './files.ts';
import { checkHidden, checkMounts } from './mounts.ts';
import { checkNamespaces, checkProcess, isDead } from './processes.ts';
import { checkTmpfs } from './tmpfs.ts';

interface Kind {
  readonly name: RegExp;
  /** Of its messages; null: it holds data of the processes, which are not read. */
  readonly message: string | null;
  /** Data follow the first message. */
  readonly firstOnly?: true;
}

/** The images that CRIU writes of a container (criu/image-desc.c). Any other is refused: packet filters, devices, BPF maps. */
const KINDS: readonly Kind[] = [
  { name: /^inventory\.img$/, message: 'inventory_entry' },
  { name: /^pstree\.img$/, message: 'pstree_entry' },
  { name: /^core-\d+\.img$/, message: 'core_entry' },
  { name: /^ids-\d+\.img$/, message: 'task_kobj_ids_entry' },
  { name: /^fs-\d+\.img$/, message: 'fs_entry' },
  { name: /^mm-\d+\.img$/, message: 'mm_entry' },
  { name: /^(?:pagemap|pagemap-shmem|pages)-\d+\.img$/, message: null },
  { name: /^files\.img$/, message: 'file_entry' },
  { name: /^fdinfo-\d+\.img$/, message: 'fdinfo_entry' },
  { name: /^tty-info\.img$/, message: 'tty_info_entry' },
  { name: /^memfd\.img$/, message: 'memfd_inode_entry' },
  { name: /^filelocks\.img$/, message: 'file_lock_entry' },
  { name: /^remap-fpath\.img$/, message: 'remap_file_path_entry' },
  { name: /^ghost-file-[0-9a-f]+\.img$/, message: 'ghost_file_entry', firstOnly: true },
  { name: /^(?:sk-queues|pipes-data|fifo-data|tty-data)\.img$/, message: null },
  { name: /^mountpoints-\d+\.img$/, message: 'mnt_entry' },
  { name: /^tmpfs-dev-\d+\.tar\.gz\.img$/, message: null },
  { name: /^userns-\d+\.img$/, message: 'userns_entry' },
  { name: /^netns-\d+\.img$/, message: 'netns_entry' },
  { name: /^utsns-\d+\.img$/, message: 'utsns_entry' },
  { name: /^timens-\d+\.img$/, message: 'timens_entry' },
  { name: /^ipcns-var-\d+\.img$/, message: 'ipc_var_entry' },
  { name: /^ipcns-(?:shm|sem|msg)-\d+\.img$/, message: null },
  { name: /^cgroup\.img$/, message: 'cgroup_entry' },
  { name: /^seccomp\.img$/, message: 'seccomp_entry' },
];

/** What runc writes beside them: the standard streams of the first process. */
const DESCRIPTORS = 'descriptors.json';
const STREAM = /^(?:\/dev\/null|pipe:\[\d+\])$/;
/** Metadata of the largest container that was measured (5,000 threads) take a tenth of it. */
const MAX_IMAGE_BYTES = 256 * 1024 * 1024;

/** Name of an image -> its messages. */
type Images = ReadonlyMap<string, readonly Message[]>;

/**
 * Whether the processes in a folder of images have no more rights than the container in which they would be restored: null, or why not,
 * in words for whoever owns the pod. CRIU takes credentials, filters, labels, mounts and cgroups from the images, whatever the spec says.
 * Pages are not read.
 */
export async function checkImages(folder: string, rights: ContainerRights): Promise<string | null> {
  let at = '';
  try {
    const images = new Map<string, readonly Message[]>();
    for (const name of (await readdir(folder)).sort()) {
      at = name;
      const messages = await read(folder, name, rights);
      if (messages !== null) images.set(name, messages);
    }
    for (const [name, messages] of images) {
      at = name;
      checkOne(name, messages, { images, rights });
    }
    at = 'the images';
    checkWhole(images, rights);
    return null;
  } catch (error) {
    if (!(error instanceof ImageRefused)) throw error;
    return `${at}: ${error.message}`;
  }
}

async function read(folder: string, name: string, { spec }: ContainerRights): Promise<readonly Message[] | null> {
  const path = join(folder, name);
  if (name === DESCRIPTORS) {
    checkStreams(await readFile(path, 'utf8'));
    return null;
  }
  const kind = KINDS.find((one) => one.name.test(name));
  if (kind === undefined) throw new ImageRefused('images of this kind are not restored');
  if (name.startsWith('tmpfs-dev-')) {
    const devices = spec.linux?.devices ?? [];
    await checkTmpfs(path, new Set(devices.map(({ major, minor }) => `${major},${minor}`)));
  }
  if (kind.message === null) return null;
  if (kind.firstOnly !== true && (await stat(path)).size > MAX_IMAGE_BYTES) throw new ImageRefused('it is too large');
  return decodeImage(await readFile(path), kind.message, kind.firstOnly);
}

function checkStreams(text: string): void {
  let streams: unknown;
  try {
    streams = JSON.parse(text);
  } catch {
    streams = null;
  }
  const isPlain =
    Array.isArray(streams) &&
    streams.length <= 3 &&
    streams.every((one) => typeof one === 'string' && STREAM.test(one));
  if (!isPlain) throw new ImageRefused('it names other standard streams than pipes and /dev/null');
}

interface Context {
  readonly images: Images;
  readonly rights: ContainerRights;
}

function checkOne(name: string, messages: readonly Message[], { images, rights }: Context): void {
  const kind = name.slice(0, name.search(/(?:-[0-9a-f]+)?\.img$/));
  const [first] = messages;
  const process = `process ${/\d+/.exec(name)?.[0] ?? ''}`;
  const inventory = only(images, 'inventory.img');
  const node = inventory.message('root_ids');
  if (node === undefined) throw new ImageRefused('the namespaces of the node are not known');
  switch (kind) {
    case 'core': {
      const filters = images.get('seccomp.img')?.[0]?.messages('seccomp_filters') ?? [];
      for (const core of messages) {
        checkProcess(rights, core, {
          who: process,
          lsm: inventory.number('lsmtype'),
          filters,
          leader: leaderOf(images, name),
        });
        const ids = core.message('ids');
        if (ids !== undefined) checkNamespaces(rights, node, ids, process);
      }
      return;
    }
    case 'ids':
      return messages.forEach((ids) => checkNamespaces(rights, node, ids, process));
    case 'files':
      return checkFiles(rights, messages, images);
    case 'fdinfo':
      return messages.forEach(checkDescriptor);
    case 'tty-info':
      return messages.forEach(checkTerminal);
    case 'ghost-file':
      return messages.forEach(checkGhost);
    case 'mountpoints':
      checkMounts(rights, messages);
      return checkHidden(rights, messages);
    case 'cgroup':
      return messages.forEach((entry) => checkCgroups(entry, rootSetOf(images)));
    case 'userns':
      return messages.forEach((entry) => checkMappings(rights, entry));
    case 'netns':
      if (first?.text('ext_key') === 'extRootNetNS') return;
      throw new ImageRefused('it brings a network of its own');
    case 'ipcns-var':
      return messages.forEach((entry) => checkIpc(rights, entry));
    case 'inventory':
      if ((first?.message('plugins_entry')?.texts('plugins') ?? []).length > 0)
        throw new ImageRefused('it was made with plugins of CRIU');
      if (first?.number('allow_uprobes') !== 0) throw new ImageRefused('it was made with uprobes');
  }
}

/** What is there for the whole: each process has namespaces and credentials, and the mounts are known. */
function checkWhole(images: Images, { spec }: ContainerRights): void {
  const tree = images.get('pstree.img') ?? [];
  if (tree.length === 0) throw new ImageRefused('there is no process');
  for (const entry of tree) {
    const pid = entry.number('pid');
    const core = images.get(`core-${pid}.img`)?.[0];
    if (core === undefined) throw new ImageRefused(`process ${pid} is missing`);
    if (isDead(core)) continue; // of its threads CRIU writes what is in memory by chance
    if (core.message('ids') === undefined && !images.has(`ids-${pid}.img`)) {
      throw new ImageRefused(`the namespaces of process ${pid} are not known`);
    }
    const missing = entry.numbers('threads').find((thread) => !images.has(`core-${thread}.img`));
    if (missing !== undefined) throw new ImageRefused(`thread ${missing} is missing`);
  }
  const mounts = [...images.keys()].filter((name) => name.startsWith('mountpoints-'));
  if (mounts.length !== 1) throw new ImageRefused('they have not one set of mounts');
  const hasUsers = spec.linux?.namespaces?.some(({ type }) => type === 'user') ?? false;
  const mapped = [...images.keys()].some((name) => name.startsWith('userns-'));
  if (hasUsers !== mapped)
    throw new ImageRefused(`they ${mapped ? 'have' : 'lack'} a user namespace, unlike the container`);
}

function only(images: Images, name: string): Message {
  const messages = images.get(name) ?? [];
  const [message] = messages;
  if (message === undefined || messages.length !== 1) throw new ImageRefused(`${name} is missing`);
  return message;
}

function checkFiles(rights: ContainerRights, files: readonly Message[], images: Images): void {
  const descriptors = [...images].filter(([name]) => name.startsWith('fdinfo-')).flatMap(([, entries]) => entries);
  const opened = new Set(descriptors.map((entry) => entry.number('id')));
  const remaps = images.get('remap-fpath.img') ?? [];
  const linked = remaps.filter((one) => one.number('remap_type') === LINKED).map((one) => one.number('remap_id'));
  const context = { mounts: mountIds(images), names: new Set(linked.filter((id) => !opened.has(id))) };
  for (const file of files) checkFile(rights, file, context);
}

/** `remap_type`: the file has another name, which CRIU has made. */
const LINKED = 0;

function mountIds(images: Images): ReadonlySet<number> {
  const mounts = [...images].filter(([name]) => name.startsWith('mountpoints-')).flatMap(([, messages]) => messages);
  return new Set(mounts.map((mount) => mount.number('mnt_id')));
}

/** The first thread of the process whose thread an image core-N is; null where it is that itself. */
function leaderOf(images: Images, name: string): Message | null {
  const thread = Number(/\d+/.exec(name)?.[0]);
  const process = (images.get('pstree.img') ?? []).find((entry) => entry.numbers('threads').includes(thread));
  const pid = process?.number('pid') ?? thread;
  return pid === thread ? null : (images.get(`core-${pid}.img`)?.[0] ?? null);
}

/** The cgroups of the first process. */
function rootSetOf(images: Images): number {
  const pid = images.get('pstree.img')?.[0]?.number('pid') ?? 0;
  const core = images.get(`core-${pid}.img`)?.[0];
  return core?.message('thread_core')?.number('cg_set') || (core?.message('tc')?.number('cg_set') ?? 0);
}

function checkMappings({ spec }: ContainerRights, entry: Message): void {
  const sides = [
    ['uid_map', spec.linux?.uidMappings],
    ['gid_map', spec.linux?.gidMappings],
  ] as const;
  for (const [field, wanted = []] of sides) {
    const found = entry
      .messages(field)
      .map((one) => ['first', 'lower_first', 'count'].map((part) => one.number(part)).join(' '));
    const expected = wanted.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}`);
    if (found.join() !== expected.join()) throw new ImageRefused(`its ${field} is not that of the container`);
  }
}

/** Fields of ipc_var_entry -> files below /proc/sys. */
const IPC: readonly (readonly [field: string, file: string])[] = [
  ['sem_ctls', 'kernel/sem'],
  ['msg_ctlmax', 'kernel/msgmax'],
  ['msg_ctlmnb', 'kernel/msgmnb'],
  ['msg_ctlmni', 'kernel/msgmni'],
  ['shm_ctlmax', 'kernel/shmmax'],
  ['shm_ctlall', 'kernel/shmall'],
  ['shm_ctlmni', 'kernel/shmmni'],
  ['shm_rmid_forced', 'kernel/shm_rmid_forced'],
  ['mq_queues_max', 'fs/mqueue/queues_max'],
  ['mq_msg_max', 'fs/mqueue/msg_max'],
  ['mq_msgsize_max', 'fs/mqueue/msgsize_max'],
  ['mq_msg_default', 'fs/mqueue/msg_default'],
  ['mq_msgsize_default', 'fs/mqueue/msgsize_default'],
];
/** Files below /proc/sys, whose numbers in this order are {@link ContainerRights.ipc}. */
export const IPC_SETTINGS = IPC.map(([, file]) => file);

function checkIpc({ ipc }: ContainerRights, entry: Message): void {
  if (ipc === null) throw new ImageRefused('it sets what belongs to the node');
  const saved = IPC.flatMap(([field]) => entry.numbers(field));
  if (saved.join() !== ipc.join())
    throw new ImageRefused('its limits of System V IPC and of message queues are not those of the pod');
}
