/** A condition as pods, nodes and our own records carry it. */
export interface WireCondition {
  readonly type?: string | null | undefined;
  readonly status?: string | null | undefined;
  readonly reason?: string | null | undefined;
  readonly message?: string | null | undefined;
}

/** The condition of that type, whatever its status. */
export function conditionOf<C extends WireCondition>(
  conditions: readonly C[] | null | undefined,
  type: string,
): C | undefined {
  return conditions?.find((condition) => condition.type === type);
}

export function isConditionTrue(conditions: readonly WireCondition[] | null | undefined, type: string): boolean {
  return conditionOf(conditions, type)?.status === 'True';
}
