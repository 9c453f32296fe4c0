/** Runs functions in the asynchronous context in which it was made: `AsyncLocalStorage` stores are those of that time. */
export interface AsyncScope {
  runInAsyncScope<This, Args extends unknown[], R>(fn: (this: This, ...args: Args) => R, self?: This, ...args: Args): R
}

interface AsyncHooks {
  readonly AsyncResource: new (type: string, options: { readonly requireManualDestroy: boolean }) => AsyncScope
}

interface HostProcess {
  readonly process?: { getBuiltinModule?(name: string): AsyncHooks | undefined }
}

// The core imports no module of Node; platforms without this one have no such storage, or none that can be reached.
const AsyncResource = (globalThis as HostProcess).process?.getBuiltinModule?.('node:async_hooks')?.AsyncResource

/** The present asynchronous context; null where the platform has none. A resource costs far less than `AsyncLocalStorage.snapshot()`. */
export const asyncScope = (): AsyncScope | null => (AsyncResource === undefined ? null : new AsyncResource('IOPA', { requireManualDestroy: true }))

/** A function of at most one argument that runs `fn` in the present asynchronous context. */
export const inAsyncScope = <Fn extends (arg: never) => unknown>(fn: Fn): Fn => {
  const scope = asyncScope()
  return scope === null ? fn : (((arg: never) => scope.runInAsyncScope(fn, undefined, arg)) as Fn)
}
