import type { EndReason } from './abort-reasons.ts'
import type { Owned } from './context.ts'
import type { Scope } from './scope.ts'
import { SCOPE } from './slots.ts'

const members: ThisType<{ readonly [SCOPE]: Scope }> = {
  get signal(): AbortSignal {
    return this[SCOPE].signal
  },
  get ended(): boolean {
    return this[SCOPE].ended
  },
  get endReason(): EndReason {
    return this[SCOPE].endReason
  },
  defer(dispose: (reason: EndReason) => unknown): void {
    this[SCOPE].defer(dispose)
  },
  own<T extends Owned>(resource: T): T {
    return this[SCOPE].own(resource)
  },
  end(reason: EndReason = 'finish'): void | Promise<void> {
    return this[SCOPE].end(reason)
  },
  planEnd(reason: EndReason): void {
    this[SCOPE].planEnd(reason)
  },
  onEndAsked(listener: () => void): void {
    this[SCOPE].onEndAsked(listener)
  },
  assertLive(): void {
    this[SCOPE].assertLive()
  },
  [Symbol.asyncDispose](): Promise<void> {
    return this[SCOPE][Symbol.asyncDispose]()
  }
}

/** Puts the members on the prototype of the property bag. */
export const addScopeMembers = (prototype: object): void => {
  for (const name of Reflect.ownKeys(members)) {
    const descriptor = Object.getOwnPropertyDescriptor(members, name) as PropertyDescriptor
    Object.defineProperty(prototype, name, { ...descriptor, enumerable: false })
  }
}
