import type { OciSpec } from '../runtime/oci-spec.ts';
import { ImageRefused, type Message } from './decode.ts';

interface Profile {
  readonly defaultAction?: string;
  readonly syscalls?: readonly {
    readonly names: readonly string[];
    readonly action: string;
    readonly args?: readonly unknown[];
  }[];
}

/** System calls that reach the node, with their numbers; null: that kind of processor has none. */
const CALLS: Readonly<Record<string, readonly [x86_64: number, arm64: number | null, x86: number | null]>> = {
  acct: [163, 89, 51],
  add_key: [248, 217, 286],
  bpf: [321, 280, 357],
  clock_settime: [227, 112, 264],
  delete_module: [176, 106, 129],
  finit_module: [313, 273, 350],
  fsmount: [432, 432, 432],
  fsopen: [430, 430, 430],
  init_module: [175, 105, 128],
  ioperm: [173, null, 101],
  iopl: [172, null, 110],
  io_uring_setup: [425, 425, 425],
  kexec_file_load: [320, 294, null],
  kexec_load: [246, 104, 283],
  keyctl: [250, 219, 288],
  mount: [165, 40, 21],
  mount_setattr: [442, 442, 442],
  move_mount: [429, 429, 429],
  open_by_handle_at: [304, 265, 342],
  open_tree: [428, 428, 428],
  perf_event_open: [298, 241, 336],
  pivot_root: [155, 41, 217],
  quotactl: [179, 60, 131],
  reboot: [169, 142, 88],
  request_key: [249, 218, 287],
  setns: [308, 268, 346],
  settimeofday: [164, 170, 79],
  swapoff: [168, 225, 115],
  swapon: [167, 224, 87],
  syslog: [103, 116, 103],
  umount2: [166, 39, 52],
  unshare: [272, 97, 310],
  userfaultfd: [323, 282, 374],
};
/** AUDIT_ARCH_* of include/uapi/linux/audit.h, in the same order. */
const ARCHITECTURES = [0xc000003e, 0xc00000b7, 0x40000003];
/** `mtype` of core_entry -> which of them its processes can call. */
const CALLABLE: Readonly<Record<number, readonly number[]>> = { 1: [0, 2], 3: [1] };

/** ALLOW, LOG, TRACE and USER_NOTIF let a call through, or to somebody who may. */
const LOWEST_PASSING = 0x7fc00000;
const PASSING = new Set(['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE', 'SCMP_ACT_NOTIFY']);
const MAX_STEPS = 65_536;

/**
 * Throws where the filters of a thread let a call through that the profile of the new container refuses whatever its arguments are.
 * `filters`: those of seccomp.img; `at`: the newest of the thread.
 */
export function checkFilters(
  spec: OciSpec,
  {
    filters,
    at,
    machine,
    who,
  }: { readonly filters: readonly Message[]; readonly at: number; readonly machine: number; readonly who: string },
): void {
  const chain: Buffer[] = [];
  for (let next: number | undefined = at; next !== undefined;) {
    const filter: Message | undefined = filters[next];
    if (filter === undefined || chain.length > filters.length) {
      throw new ImageRefused(`${who} has a seccomp filter that is not there`);
    }
    chain.push(filter.bytes('filter'));
    next = filter.has('prev') ? filter.number('prev') : undefined;
  }
  const profile = spec.linux?.seccomp as Profile;
  for (const [name, numbers] of Object.entries(CALLS)) {
    if (!isRefused(profile, name)) continue;
    for (const architecture of CALLABLE[machine] ?? []) {
      const number = numbers[architecture];
      const call = { number: number ?? -1, architecture: ARCHITECTURES[architecture] as number };
      if (number != null && chain.every((filter) => passes(filter, call))) {
        throw new ImageRefused(`the seccomp filter of ${who} allows ${name}, and that of the container does not`);
      }
    }
  }
}

function isRefused({ defaultAction = '', syscalls = [] }: Profile, name: string): boolean {
  const rules = syscalls.filter(({ names }) => names.includes(name));
  if (rules.some(({ action }) => PASSING.has(action))) return false;
  return !PASSING.has(defaultAction) || rules.some(({ args = [] }) => args.length === 0);
}

/**
 * What a filter (classic BPF, eight bytes an instruction) says of a call whose arguments are all zero. A filter with an instruction
 * that runtimes do not write is taken for one that lets everything through: programs add such ones to that of the runtime.
 */
function passes(filter: Buffer, call: { readonly number: number; readonly architecture: number }): boolean {
  let accumulator = 0;
  for (let at = 0, steps = 0; at + 8 <= filter.length && steps < MAX_STEPS; at += 8, steps++) {
    const code = filter.readUInt16LE(at);
    const [yes, no] = [filter.readUInt8(at + 2), filter.readUInt8(at + 3)];
    const operand = filter.readUInt32LE(at + 4);
    const jump = (holds: boolean): number => 8 * (holds ? yes : no);
    if (code === 0x06) return operand >= LOWEST_PASSING && operand < 0x80000000;
    else if (code === 0x20) accumulator = operand === 0 ? call.number : operand === 4 ? call.architecture : 0;
    else if (code === 0x54) accumulator = (accumulator & operand) >>> 0;
    else if (code === 0x05) at += 8 * operand;
    else if (code === 0x15) at += jump(accumulator === operand);
    else if (code === 0x25) at += jump(accumulator > operand);
    else if (code === 0x35) at += jump(accumulator >= operand);
    else if (code === 0x45) at += jump((accumulator & operand) !== 0);
    else return true;
  }
  return true;
}
