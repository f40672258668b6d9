/** A condition type of one kind of object: who writes it, what each status says, and every reason it can carry. */
export interface ConditionEntry {
  readonly writer: 'Reprieve' | 'agent' | 'agent and Reprieve';
  /** Only the statuses that are ever written. */
  readonly statuses: Partial<Readonly<Record<ConditionStatus, string>>>;
  /** Reason -> the status it stands with, and what it says. */
  readonly reasons: Readonly<Record<string, { readonly status: ConditionStatus; readonly meaning: string }>>;
}

export type ConditionStatus = 'True' | 'False' | 'Unknown';
