/**
 * Keeps the state of a declared resource, and serves it on every protocol of an app.
 *
 * @example
 * const lights = store(light, { initial: { hall: { on: false } } })
 * app.serve(light, lights)
 * await lights.put('hall', { on: true })
 */

export type { HistoryOptions } from './history/history-limits.ts'
export type { Idempotency, IdempotencyLimits, IdempotencyOptions } from './idempotency/idempotency.ts'
export { idempotency } from './idempotency/idempotency.ts'
export { memory } from './storage/memory.ts'
export { store } from './store.ts'
export type {
  About,
  AsideDocument,
  ChangeOptions,
  Computed,
  DocumentId,
  ListOptions,
  RuleOptions,
  Store,
  StoreChange,
  StoredDocument,
  StoreLimits,
  StoreOptions
} from './store-types.ts'
export type { Twin, TwinLimits, TwinOptions, TwinPatch, Twins } from './twin/twin-types.ts'
export { twins } from './twin/twins.ts'
