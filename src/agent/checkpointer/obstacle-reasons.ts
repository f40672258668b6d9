import type { Obstacle } from '../pods/obstacle-watch.ts';
import type { DumpFailureReason } from '../runtime/dump-failure.ts';

export const OBSTACLE_REASONS: Partial<Readonly<Record<DumpFailureReason, Obstacle['reason']>>> = {
  IoUring: 'IoUringInUse',
  Device: 'DeviceInUse',
  ExternalSocket: 'SocketShared',
  ConnectedTcp: 'TcpEstablished',
  TooLarge: 'TooLarge',
  SharedProcesses: 'SpecUnsupported',
  Terminal: 'SpecUnsupported',
  SpecForbids: 'SpecUnsupported',
  Traced: 'ProcessTraced',
  OtherUser: 'AgentRightsMissing',
  NestedNamespace: 'NamespaceNested',
  InnerMount: 'MountUnsupported',
  SocketKind: 'SocketUnsupported',
  BoundAddress: 'AddressBound',
  FileKind: 'FileUnsupported',
  Inotify: 'FileUnsupported',
  PodFile: 'FileUnsupported',
  SharedIpc: 'IpcShared',
  ContainerEnded: 'ContainerEnded',
  ProbesTooStrict: 'ProbesTooStrict',
  SavedInVain: 'SaveFailed',
};
