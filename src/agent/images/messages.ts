/**
 * The messages of CRIU's images that may be in a state, with every field that they may have, as images/*.proto of CRIU 4.2 defines
 * them (https://github.com/checkpoint-restore/criu/tree/v4.2/images). `opaque`: what only the processes themselves see (registers,
 * signals, timers). Whatever is not here is refused.
 */
export const MESSAGES = `
inventory_entry: uint32 img_version=1; bool fdinfo_per_id=2; task_kobj_ids_entry root_ids=3; bool ns_per_id=4; uint32 root_cg_set=5;
  uint32 lsmtype=6; uint64 dump_uptime=8; uint32 pre_dump_mode=9; bool tcp_close=10; uint32 network_lock_method=11;
  plugins_entry plugins_entry=12; string dump_criu_run_id=13; bool allow_uprobes=14
plugins_entry: string plugins=12
pstree_entry: uint32 pid=1; uint32 ppid=2; uint32 pgid=3; uint32 sid=4; uint32 threads=5
task_kobj_ids_entry: uint32 vm_id=1; uint32 files_id=2; uint32 fs_id=3; uint32 sighand_id=4; uint32 pid_ns_id=5; uint32 net_ns_id=6;
  uint32 ipc_ns_id=7; uint32 uts_ns_id=8; uint32 mnt_ns_id=9; uint32 user_ns_id=10; uint32 cgroup_ns_id=11; uint32 time_ns_id=12
core_entry: uint32 mtype=1; opaque thread_info=2; opaque ti_arm=6; opaque ti_aarch64=8; opaque ti_ppc64=9; opaque ti_s390=10;
  opaque ti_riscv64=13; task_core_entry tc=3; task_kobj_ids_entry ids=4; thread_core_entry thread_core=5
task_core_entry: uint32 task_state=1; uint32 exit_code=2; uint32 personality=3; uint32 flags=4; uint64 blk_sigset=5; string comm=6;
  opaque timers=7; task_rlimits_entry rlimits=8; uint32 cg_set=9; opaque signals_s=10; uint32 loginuid=13; int32 oom_score_adj=14;
  opaque sigactions=15; bool child_subreaper=18; uint64 blk_sigset_extended=20; uint32 stop_signo=21;
  uint32 membarrier_registration_mask=22
task_rlimits_entry: rlimit_entry rlimits=1
rlimit_entry: uint64 cur=1; uint64 max=2
thread_core_entry: uint64 futex_rla=1; uint32 futex_rla_len=2; sint32 sched_nice=3; uint32 sched_policy=4; uint32 sched_prio=5;
  uint64 blk_sigset=6; opaque sas=7; uint32 pdeath_sig=8; opaque signals_p=9; creds_entry creds=10; uint32 seccomp_mode=11;
  uint32 seccomp_filter=12; string comm=13; uint64 blk_sigset_extended=14; opaque rseq_entry=15; uint32 cg_set=16
creds_entry: uint32 uid=1; uint32 gid=2; uint32 euid=3; uint32 egid=4; uint32 suid=5; uint32 sgid=6; uint32 fsuid=7; uint32 fsgid=8;
  uint32 cap_inh=9; uint32 cap_prm=10; uint32 cap_eff=11; uint32 cap_bnd=12; uint32 secbits=13; uint32 groups=14;
  string lsm_profile=15; uint32 no_new_privs=18; uint32 cap_amb=19
fs_entry: uint32 cwd_id=1; uint32 root_id=2; uint32 umask=3
mm_entry: uint64 mm_start_code=1; uint64 mm_end_code=2; uint64 mm_start_data=3; uint64 mm_end_data=4; uint64 mm_start_stack=5;
  uint64 mm_start_brk=6; uint64 mm_brk=7; uint64 mm_arg_start=8; uint64 mm_arg_end=9; uint64 mm_env_start=10; uint64 mm_env_end=11;
  uint32 exe_file_id=12; uint64 mm_saved_auxv=13; vma_entry vmas=14; int32 dumpable=15; opaque aios=16; bool thp_disabled=17
vma_entry: uint64 start=1; uint64 end=2; uint64 pgoff=3; uint64 shmid=4; uint32 prot=5; uint32 flags=6; uint32 status=7; sint64 fd=8;
  uint64 madv=9; uint32 fdflags=10
seccomp_entry: seccomp_filter seccomp_filters=1
seccomp_filter: bytes filter=1; uint32 prev=2; uint32 flags=3
fdinfo_entry: uint32 id=1; uint32 flags=2; uint32 type=3; uint32 fd=4
file_entry: uint32 type=1; uint32 id=2; reg_file_entry reg=3; inet_sk_entry isk=4; opaque psk=6; netlink_sk_entry nlsk=7; opaque efd=8; opaque epfd=9;
  opaque sgfd=10; opaque tfd=12; opaque ify=13; unix_sk_entry usk=16; opaque fifo=17; opaque pipe=18; opaque tty=19; opaque memfd=20;
  opaque pidfd=22
reg_file_entry: uint32 id=1; uint32 flags=2; uint64 pos=3; opaque fown=5; string name=6; sint32 mnt_id=7; uint64 size=8; uint32 mode=10;
  uint32 build_id=11; uint32 checksum=12; uint32 checksum_config=13; uint32 checksum_parameter=14
inet_sk_entry: uint32 id=1; uint32 ino=2; uint32 family=3; uint32 type=4; uint32 proto=5; uint32 state=6; uint32 src_port=7;
  uint32 dst_port=8; uint32 flags=9; uint32 backlog=10; uint32 src_addr=11; uint32 dst_addr=12; opaque fown=13; sk_opts_entry opts=14;
  bool v6only=15; ip_opts_entry ip_opts=16; string ifname=17; uint32 ns_id=18; uint32 shutdown=19; opaque tcp_opts=20
ip_opts_entry: bool freebind=1; opaque raw=4; bool pktinfo=5; uint32 tos=6; uint32 ttl=7
sk_opts_entry: uint32 so_sndbuf=1; uint32 so_rcvbuf=2; uint64 so_snd_tmo_sec=3; uint64 so_snd_tmo_usec=4; uint64 so_rcv_tmo_sec=5;
  uint64 so_rcv_tmo_usec=6; bool reuseaddr=7; uint32 so_priority=8; uint32 so_rcvlowat=9; uint32 so_mark=10; bool so_passcred=11;
  bool so_passsec=12; bool so_dontroute=13; bool so_no_check=14; string so_bound_dev=15; opaque so_filter=16; bool so_reuseport=17;
  bool so_broadcast=18; bool so_keepalive=19; uint32 tcp_keepcnt=20; uint32 tcp_keepidle=21; uint32 tcp_keepintvl=22;
  uint32 so_oobinline=23; uint32 so_linger=24; uint32 so_buf_lock=25
netlink_sk_entry: uint32 id=1; uint32 ino=2; uint32 protocol=3; uint32 state=4; uint32 flags=6; uint32 portid=7; uint32 groups=8;
  uint32 dst_portid=9; uint32 dst_group=10; opaque fown=11; sk_opts_entry opts=12; uint32 ns_id=13
unix_sk_entry: uint32 id=1; uint32 ino=2; uint32 type=3; uint32 state=4; uint32 flags=5; uint32 uflags=6; uint32 backlog=7;
  uint32 peer=8; opaque fown=9; sk_opts_entry opts=10; bytes name=11; uint32 shutdown=12; file_perms_entry file_perms=13;
  string name_dir=14; bool deleted=15; uint32 ns_id=16; sint32 mnt_id=17
file_perms_entry: uint32 mode=1; uint32 uid=2; uint32 gid=3
tty_info_entry: uint32 id=1; uint32 type=2; bool locked=3; bool exclusive=4; bool packet_mode=5; uint32 sid=6; uint32 pgrp=7;
  uint32 rdev=8; opaque termios=9; opaque termios_locked=10; opaque winsize=11; opaque pty=12; uint32 dev=13; uint32 uid=14; uint32 gid=15
memfd_inode_entry: string name=1; uint32 uid=2; uint32 gid=3; uint64 size=4; uint32 shmid=5; uint32 seals=6; uint64 inode_id=7;
  uint32 hugetlb_flag=8; uint32 mode=9
file_lock_entry: uint32 flag=1; uint32 type=2; int32 pid=3; int32 fd=4; int64 start=5; int64 len=6
remap_file_path_entry: uint32 orig_id=1; uint32 remap_id=2; uint32 remap_type=3
ghost_file_entry: uint32 uid=1; uint32 gid=2; uint32 mode=3; uint32 dev=4; uint64 ino=5; opaque atim=7; opaque mtim=8; bool chunks=9;
  uint64 size=10
mnt_entry: uint32 fstype=1; uint32 mnt_id=2; uint32 root_dev=3; uint32 parent_mnt_id=4; uint32 flags=5; string root=6;
  string mountpoint=7; string source=8; string options=9; uint32 shared_id=10; uint32 master_id=11; bool ext_mount=13;
  uint32 sb_flags=17; string ext_key=18
userns_entry: uid_gid_extent uid_map=1; uid_gid_extent gid_map=2
uid_gid_extent: uint32 first=1; uint32 lower_first=2; uint32 count=3
netns_entry: string ext_key=8
utsns_entry: string nodename=1; string domainname=2
timens_entry: opaque monotonic=1; opaque boottime=2
ipc_var_entry: uint32 sem_ctls=1; uint32 msg_ctlmax=2; uint32 msg_ctlmnb=3; uint32 msg_ctlmni=4; uint32 auto_msgmni=5;
  uint64 shm_ctlmax=6; uint64 shm_ctlall=7; uint32 shm_ctlmni=8; uint32 shm_rmid_forced=9; uint32 mq_queues_max=10;
  uint32 mq_msg_max=11; uint32 mq_msgsize_max=12; uint32 mq_msg_default=13; uint32 mq_msgsize_default=14; uint32 msg_next_id=15;
  uint32 sem_next_id=16; uint32 shm_next_id=17
cgroup_entry: cg_set_entry sets=1; cg_controller_entry controllers=2
cg_set_entry: uint32 id=1; cg_member_entry ctls=2
cg_member_entry: string name=1; string path=2; uint32 cgns_prefix=3
cg_controller_entry: string cnames=1; cgroup_dir_entry dirs=2; bool is_threaded=3
cgroup_dir_entry: string dir_name=1; cgroup_dir_entry children=2; cgroup_prop_entry properties=3; opaque dir_perms=4
cgroup_prop_entry: string name=1; string value=2; opaque perms=3
`;
