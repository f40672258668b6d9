import type { RESTORED_CONDITION } from './labels.ts';
import { CHECKPOINT_CONDITIONS } from './conditions/checkpoint-conditions.ts';
import type { ConditionEntry, ConditionStatus } from './conditions/condition-entry.ts';
import { POD_CONDITIONS } from './conditions/pod-conditions.ts';
import { POLICY_CONDITIONS } from './conditions/policy-conditions.ts';
import { TICKET_CONDITIONS } from './conditions/ticket-conditions.ts';

/** Every condition that Reprieve and its agents write, once: a reason that is missing here does not compile. */
export const CONDITIONS = {
  ReprievePolicy: POLICY_CONDITIONS,
  Reprieve: TICKET_CONDITIONS,
  PodCheckpoint: CHECKPOINT_CONDITIONS,
  Pod: POD_CONDITIONS,
} as const satisfies Readonly<Record<string, Readonly<Record<string, ConditionEntry>>>>;

type Tables = typeof CONDITIONS;
export type ConditionKind = keyof Tables;

/** Reasons of one condition type that stand with `Status`. */
type ReasonIn<Reasons, Status> = {
  [R in keyof Reasons]: Reasons[R] extends { readonly status: Status } ? R : never;
}[keyof Reasons] &
  string;

/** A reason of condition `Type` of `Kind`; with `Status`, one that stands with it. */
export type ConditionReason<
  Kind extends ConditionKind,
  Type extends keyof Tables[Kind],
  Status extends ConditionStatus = ConditionStatus,
> = Tables[Kind][Type] extends { readonly reasons: infer Reasons } ? ReasonIn<Reasons, Status> : never;

/** What may be written as a condition of `Kind`: a type, one of its statuses, and a reason that stands with it. */
export type ConditionOf<Kind extends ConditionKind> = {
  [Type in keyof Tables[Kind] & string]: {
    [Status in ConditionStatus]: {
      readonly type: Type;
      readonly status: Status;
      readonly reason: ConditionReason<Kind, Type, Status>;
      readonly message: string;
    };
  }[ConditionStatus];
}[keyof Tables[Kind] & string];

/** Why a ticket is in its phase. */
export type TicketReason = ConditionReason<'Reprieve', 'Restored'>;
/** How a restore ended. */
export type RestoreReason = ConditionReason<'Pod', typeof RESTORED_CONDITION, 'True' | 'False'>;
/** Why a node did not restore a pod. */
export type RestoreFailure = ConditionReason<'Pod', typeof RESTORED_CONDITION, 'False'>;
