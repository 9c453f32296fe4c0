import type { Bag } from '@iopa/constants'
import { checkMethodCase, IopaError } from '@iopa/constants'
import { checkBag } from './bag-check.ts'
import { CONTEXT } from './brands.ts'
import type { Context } from './context.ts'
import type { ContextInit } from './context-init.ts'
import { type Endpoint, localEndpoint } from './endpoint.ts'
import type { Environment } from './environment.ts'
import { checkPath } from './path.ts'
import { bodyOfBag, copyKnownKeys, endpointOfBag } from './promotion.ts'
import { createContext } from './property-bag.ts'
import type { RunContext } from './run-context.ts'
import type { Scope } from './scope.ts'

/** Makes contexts of one shape and knows how many of them live. */
export class ContextFactory {
  readonly #environment: Environment
  readonly #local: Endpoint

  constructor(environment: Environment) {
    this.#environment = environment
    this.#local = localEndpoint(environment.bodyLimit)
  }

  /** Contexts that have been created and have not ended. */
  get live(): number {
    return this.#environment.live
  }

  /** A context for a request that a transport has received. */
  create(init: ContextInit, parent: Scope | Context | null = null): RunContext {
    return createContext(this.#environment, init, parent)
  }

  /** A context from a plain object of keys, which is trusted: it comes from inside the process. @throws IopaError 400 for an illegal path. */
  promote(bag: Bag, parent: Scope | Context | null = null): RunContext {
    checkBag(bag)
    const given = bag['iopa.Path'] ?? '/'
    const query = bag['iopa.QueryString'] ?? ''
    if (given.includes('?')) throw new IopaError(400, 'query-in-path', "Put the query into 'iopa.QueryString', without the '?'.")
    const path = checkPath(given)
    const method = checkMethodCase(bag['iopa.Method'] ?? 'GET')
    const init: ContextInit = {
      method,
      path,
      query,
      rawPath: bag['server.RawPath'] ?? given,
      endpoint: endpointOfBag(bag, this.#local),
      source: null
    }
    const context = this.create(init, parent)
    context['server.IsLocalOrigin'] = true
    try {
      copyKnownKeys(bag, context)
      bodyOfBag(bag, context, this.#environment.codecs)
    } catch (error) {
      void context.end()
      throw error
    }
    const signal = bag['iopa.CallCancelled']
    if (signal !== undefined) endWith(signal, context)
    return context
  }
}

/** Ends a context with a signal that lives longer than it. */
const endWith = (signal: AbortSignal, context: RunContext): void => {
  const abort = (): void => void context.end('disconnect')
  if (signal.aborted) abort()
  else {
    signal.addEventListener('abort', abort, { once: true })
    context.defer(() => signal.removeEventListener('abort', abort))
  }
}

/** True for a context, or for the view of one, of any copy of this package. */
export const isContext = (value: unknown): value is Context => typeof value === 'object' && value !== null && CONTEXT in value
