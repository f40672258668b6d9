import {
  capabilitiesIn,
  CHECKED_LIMITS,
  LIMITS,
  mayHave,
  UNLIMITED,
  type ContainerRights,
} from './container-rights.ts';
import { ImageRefused, type Message } from './decode.ts';
import { checkFilters } from './seccomp.ts';

const NAMESPACES = ['pid', 'net', 'ipc', 'uts', 'mnt', 'user', 'cgroup', 'time'] as const;
/** As the OCI specification calls those that have another name there. */
const OCI_NAMES: Partial<Record<(typeof NAMESPACES)[number], string>> = { net: 'network', mnt: 'mount' };

/**
 * Processes come back in the namespaces whose ids differ from those of the node on which they were saved: where they are the same, CRIU
 * leaves them in the node's own.
 */
export function checkNamespaces({ spec }: ContainerRights, node: Message, process: Message, who: string): void {
  const own = new Set(spec.linux?.namespaces?.map(({ type }) => type));
  for (const name of NAMESPACES) {
    const field = `${name}_ns_id`;
    const isOwn = process.number(field) !== node.number(field);
    if (isOwn === own.has(OCI_NAMES[name] ?? name)) continue;
    const verb = isOwn ? 'has a' : 'shares the';
    throw new ImageRefused(
      `${who} ${verb} ${name} namespace ${isOwn ? 'of its own' : 'of the node'}, and the container does not`,
    );
  }
}

/** SCHED_OTHER, SCHED_BATCH, SCHED_IDLE. */
const ORDINARY_POLICIES = new Set([0, 3, 5]);
/** SECBIT_KEEP_CAPS, which every process may set. */
const FREE_SECBITS = 0x10;
const SECCOMP = { strict: 1, filter: 2 } as const;
const LSM = { selinux: 1, apparmor: 2 } as const;

/** TASK_DEAD and TASK_ZOMBIE of CRIU. */
const DEAD = new Set([2, 6]);

/** A process that ended, and whose parent has not noticed: it runs no instruction of its own, and has neither rights nor namespaces. */
export function isDead(core: Message): boolean {
  return DEAD.has(core.message('tc')?.number('task_state') ?? 0) && !core.has('thread_core');
}

interface ProcessFacts {
  readonly who: string;
  readonly lsm: number;
  readonly filters: readonly Message[];
  /** The first thread of its process; null: it is that one. */
  readonly leader: Message | null;
}

/** One image core-N: a process, or a thread of one. */
export function checkProcess(
  rights: ContainerRights,
  core: Message,
  { who, lsm, filters, leader }: ProcessFacts,
): void {
  if (isDead(core)) return;
  const thread = core.message('thread_core');
  const credentials = thread?.message('creds');
  if (thread === undefined || credentials === undefined) throw new ImageRefused(`${who} has no credentials`);
  checkCredentials(rights, credentials, who);
  checkLabel(rights, credentials, { who, lsm });
  const { process: { noNewPrivileges = false } = {}, linux } = rights.spec;
  if (noNewPrivileges && credentials.number('no_new_privs') !== 1) {
    throw new ImageRefused(`${who} may gain privileges (no_new_privs is not set), and the container may not`);
  }
  if (linux?.seccomp) checkSeccomp(rights, core, { who, leader, filters });
  checkScheduling(rights, thread, who);
  const task = core.message('tc');
  if (task !== undefined) checkTask(rights, task, who);
}

/** SECCOMP_FILTER_FLAG_TSYNC */
const ALL_THREADS = 1;

/** A thread that has the filters of the first thread of its process gets them with that one, and CRIU writes none for it. */
function checkSeccomp(
  { spec }: ContainerRights,
  core: Message,
  { who, leader, filters }: Pick<ProcessFacts, 'who' | 'leader' | 'filters'>,
): void {
  const modeOf = (one: Message): number => one.message('thread_core')?.number('seccomp_mode') ?? 0;
  const newestOf = (one: Message): number => one.message('thread_core')?.number('seccomp_filter') ?? 0;
  if (modeOf(core) === SECCOMP.strict) return;
  const isShared = leader !== null && modeOf(core) === 0 && modeOf(leader) === SECCOMP.filter;
  const from = isShared ? leader : core;
  if (modeOf(from) !== SECCOMP.filter) {
    throw new ImageRefused(`${who} has no seccomp filter, and the container has one`);
  }
  if (isShared && ((filters[newestOf(leader)]?.number('flags') ?? 0) & ALL_THREADS) === 0) {
    throw new ImageRefused(`${who} has no seccomp filter, and that of its process is not for all threads`);
  }
  checkFilters(spec, { filters, at: newestOf(from), machine: core.number('mtype'), who });
}

function checkCredentials(rights: ContainerRights, credentials: Message, who: string): void {
  const { user = {}, capabilities = {}, noNewPrivileges = false } = rights.spec.process ?? {};
  const { uid = 0, gid = 0, additionalGids = [] } = user;
  // Without no_new_privs a program with the setuid bit or file capabilities has all that the bounding set allows.
  const reachable = new Set([
    ...(capabilities[noNewPrivileges ? 'permitted' : 'bounding'] ?? []),
    ...(capabilities['ambient'] ?? []),
  ]);
  const allowed = {
    prm: reachable,
    eff: reachable,
    amb: reachable,
    bnd: new Set(capabilities['bounding']),
    inh: new Set([...(capabilities['bounding'] ?? []), ...(capabilities['inheritable'] ?? [])]),
  };
  for (const [set, names] of Object.entries(allowed)) {
    const extra = capabilitiesIn(credentials.numbers(`cap_${set}`)).find((name) => !names.has(name));
    if (extra !== undefined) throw new ImageRefused(`${who} has ${extra}, and the container may not have it`);
  }
  const users = ['uid', 'euid', 'suid', 'fsuid'].map((field) => credentials.number(field));
  const otherUser = users.find((one) => one !== uid);
  if (otherUser !== undefined && !reachable.has('CAP_SETUID')) {
    throw new ImageRefused(`${who} runs as user ${otherUser}, and the container as ${uid}, without CAP_SETUID`);
  }
  const groups = [
    ...['gid', 'egid', 'sgid', 'fsgid'].map((field) => credentials.number(field)),
    ...credentials.numbers('groups'),
  ];
  const otherGroup = groups.find((one) => one !== gid && !additionalGids.includes(one));
  if (otherGroup !== undefined && !reachable.has('CAP_SETGID')) {
    throw new ImageRefused(`${who} is in group ${otherGroup}, and the container is not, and lacks CAP_SETGID`);
  }
  if ((credentials.number('secbits') & ~FREE_SECBITS) !== 0 && !reachable.has('CAP_SETPCAP')) {
    throw new ImageRefused(`${who} has securebits set, which the container may not set`);
  }
}

function checkLabel(
  { spec }: ContainerRights,
  credentials: Message,
  { who, lsm }: { readonly who: string; readonly lsm: number },
): void {
  const label = credentials.text('lsm_profile');
  const { apparmorProfile = '', selinuxLabel = '' } = spec.process ?? {};
  const wanted = apparmorProfile === 'unconfined' ? '' : apparmorProfile || selinuxLabel;
  // An AppArmor profile on one node and an SELinux label on the other are not compared.
  const kind = lsm === LSM.apparmor ? apparmorProfile : lsm === LSM.selinux ? selinuxLabel : '';
  if (label !== wanted || (label !== '' && kind === '')) {
    throw new ImageRefused(`${who} has the security label ${label || 'none'}, and the container ${wanted || 'none'}`);
  }
}

function checkScheduling({ runtime, ...rest }: ContainerRights, thread: Message, who: string): void {
  if (mayHave(rest, 'CAP_SYS_NICE')) return;
  if (!ORDINARY_POLICIES.has(thread.number('sched_policy')))
    throw new ImageRefused(`${who} has a realtime priority, which the container may not have`);
  const nice = thread.number('sched_nice');
  if (nice < Math.min(0, runtime.nice))
    throw new ImageRefused(`${who} has the nice value ${nice}, which the container may not have`);
}

function checkTask(rights: ContainerRights, task: Message, who: string): void {
  const { spec, runtime } = rights;
  if (task.has('loginuid') && ![NO_LOGINUID, runtime.loginuid].includes(task.number('loginuid'))) {
    throw new ImageRefused(
      `${who} has the login uid ${task.number('loginuid')}, which would name another user in the audit log`,
    );
  }
  if (mayHave(rights, 'CAP_SYS_RESOURCE')) return;
  checkLimits(rights, task.message('rlimits')?.messages('rlimits') ?? [], who);
  // The kubelet gives a Burstable pod 2 to 999 by the memory of the node: which of them makes no difference here.
  const least = Math.min(spec.process?.oomScoreAdj ?? 0, 2);
  if (task.has('oom_score_adj') && task.number('oom_score_adj') < least) {
    throw new ImageRefused(
      `${who} has oom_score_adj ${task.number('oom_score_adj')}, and the container ${spec.process?.oomScoreAdj ?? 0}`,
    );
  }
}

/** A process may lower its limits, and not raise them again. What the images leave out, a restored process has of the runtime. */
function checkLimits({ spec, runtime }: ContainerRights, saved: readonly Message[], who: string): void {
  for (const [resource, name] of LIMITS.entries()) {
    const own = spec.process?.rlimits?.find(({ type }) => type === name)?.hard;
    const most = own ?? (CHECKED_LIMITS.has(resource) ? (runtime.limits.get(resource) ?? 0) : Infinity);
    const limit = saved[resource]?.number('max');
    if (limit === undefined && own !== undefined) {
      throw new ImageRefused(`${who} has no ${name} of its own, and the container ${own}`);
    }
    if (limit !== undefined && limit > most) {
      throw new ImageRefused(
        `${who} has ${name} ${limit === UNLIMITED ? 'unlimited' : limit}, and the container ${most}`,
      );
    }
  }
}

/** What the kernel has for a process that nobody logged in. */
const NO_LOGINUID = 0xffffffff;
