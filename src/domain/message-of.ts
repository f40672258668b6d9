/** What a caught value says: its message, where it is an error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
