/** Knows in which change the code that runs now was started, also after an `await`. */
export interface RunNesting<T> {
  current(): T | undefined
  run<R>(value: T, work: () => R): R
  /** Nothing is followed any more until the next `run`. */
  stop(): void
}

interface Storage<T> {
  getStore(): T | undefined
  run<R>(value: T, work: () => R): R
  disable(): void
}

interface Runtime {
  readonly process?: { getBuiltinModule?(name: string): { readonly AsyncLocalStorage?: new () => Storage<unknown> } | undefined }
}

/** With the means of the runtime; where it has none, only contexts tell what is nested in what. */
export const runNesting = <T>(): RunNesting<T> => {
  const Constructor = (globalThis as Runtime).process?.getBuiltinModule?.('async_hooks')?.AsyncLocalStorage
  if (Constructor === undefined) return { current: () => undefined, run: (_, work) => work(), stop: () => undefined }
  const storage = new Constructor() as Storage<T>
  return { current: () => storage.getStore(), run: (value, work) => storage.run(value, work), stop: () => storage.disable() }
}
