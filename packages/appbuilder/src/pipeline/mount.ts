import type { Context } from '@iopa/context'
import { checkPath } from '@iopa/context'
import { asPromise, isThenable } from './compose.ts'
import type { MiddlewareFunction, Next } from './middleware.ts'

interface Mounted {
  readonly prefix: string
  readonly handler: MiddlewareFunction
}

/** A table of mounted handlers: the longest prefix of whole segments wins. */
export class MountTable {
  #mounted: Mounted[] = []

  /** `path` without a trailing slash; `/` takes every path. */
  add(path: string, handler: MiddlewareFunction): string {
    const canonical = checkPath(path)
    const prefix = canonical.endsWith('/') ? canonical.slice(0, -1) : canonical
    this.#mounted = [...this.#mounted, { prefix, handler }].sort((a, b) => b.prefix.length - a.prefix.length)
    return prefix
  }

  /** Moves the prefix to PathBase for the mounted handler, and back when it has finished or calls on. */
  readonly invoke: MiddlewareFunction = (context, next) => {
    const path = context['iopa.Path']
    for (const { prefix, handler } of this.#mounted) {
      if (path.startsWith(prefix) && (path.length === prefix.length || path.charCodeAt(prefix.length) === 47))
        return enter(context, prefix, handler, next)
    }
    return next()
  }
}

const enter = (context: Context, prefix: string, handler: MiddlewareFunction, next: Next): unknown => {
  const outerPath = context['iopa.Path']
  const outerBase = context['iopa.PathBase']
  const innerPath = outerPath.slice(prefix.length) || '/'
  const innerBase = outerBase + prefix
  const leave = (): void => {
    context['iopa.Path'] = outerPath
    context['iopa.PathBase'] = outerBase
  }
  const again = (): void => {
    context['iopa.Path'] = innerPath
    context['iopa.PathBase'] = innerBase
  }
  const onward = (() => {
    leave()
    return next().finally(again)
  }) as Next
  onward.invoke = other => next.invoke(other)
  again()
  let value: unknown
  try {
    value = handler(context, onward)
  } catch (error) {
    leave()
    throw error
  }
  if (!isThenable(value)) {
    leave()
    return value
  }
  return asPromise(value).finally(leave)
}
