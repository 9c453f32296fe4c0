import type { Context } from '@iopa/context'
import { READ, readsOf } from '@iopa/context/host'
import { asPromise, isThenable } from './compose.ts'
import type { MiddlewareFunction, Next } from './middleware.ts'

/**
 * Middleware that says of itself that it is neutral: what it reads of a peer, and the keys that it sets, do not shape the representation, so observers
 * that differ in them share the run of a notification. Where it answers by itself, the answer is that of the one for whom the run was made.
 */
export const neutral =
  (middleware: MiddlewareFunction): MiddlewareFunction =>
  (context, next) => {
    const reads = context['server.IsNotification'] ? readsOf(context) : undefined
    if (reads === undefined) return middleware(context, next)
    let passed = false
    const onward = ((): Promise<unknown> => {
      passed = true
      // From here on the layers within run, until they have finished.
      reads.resume()
      const rest = next().finally(() => reads.pause())
      // A layer that does not wait for it must not end the process.
      rest.catch(() => undefined)
      return rest
    }) as Next
    onward.invoke = (other: Context) => next.invoke(other)
    const left = (): void => {
      reads.resume()
      if (!passed) reads.add(READ.Private)
    }
    reads.pause()
    let value: unknown
    try {
      value = middleware(context, onward)
    } catch (error) {
      left()
      throw error
    }
    if (!isThenable(value)) {
      left()
      return value
    }
    return asPromise(value).finally(left)
  }
