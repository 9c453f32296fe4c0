/**
 * Keeps the state of a declared resource, and serves it on every protocol of an app.
 *
 * @example
 * const lights = store(light, { initial: { hall: { on: false } } })
 * app.serve(light, lights)
 * await lights.put('hall', { on: true })
 */

export { store } from './store.ts'
export type {
  About,
  ChangeOptions,
  Computed,
  DocumentId,
  ListOptions,
  Store,
  StoredDocument,
  StoreLimits,
  StoreOptions
} from './store-types.ts'
