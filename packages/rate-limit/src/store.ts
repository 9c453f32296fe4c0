import type { Quota } from './gcra.ts'

/** The budget of a caller after a request. */
export interface Taken {
  readonly allowed: boolean
  /** Requests that are left. */
  readonly remaining: number
  /** Milliseconds until the budget is full again; of one that is refused, until there is enough in it. */
  readonly reset: number
}

/** Budgets that several processes share. */
export interface SharedBudgets {
  /** Takes `cost` from the budget of a caller; 0 only asks. Rejects where the store is away. */
  take(key: string, cost: number): Promise<Taken>
}

/** Where budgets are kept, if not in this process. */
export interface RateLimitStore {
  /** The budgets of one limiter. */
  open(quota: Quota & { readonly name: string }): SharedBudgets
}
