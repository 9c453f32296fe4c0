import { type Logger, withOrigin } from '@iopa/constants'
import { addAliases } from './aliases.ts'
import type { Answer } from './answer.ts'
import type { AnswerRecord } from './answer-record.ts'
import type { Context } from './context.ts'
import { checkPath } from './path.ts'
import { CORE_KEYS, MEMBERS } from './property-bag.ts'
import { segmentsOf } from './request-parts.ts'
import type { RunContext } from './run-context.ts'
import { BEHIND, RECORD } from './slots.ts'

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze(Object.create(null) as Record<string, string>)

/** Keys that a view has for itself. */
const OWN_KEYS: ReadonlySet<string> = new Set(['iopa.Path', 'iopa.PathBase', 'iopa.Params', 'iopa.Route', 'response'])

/** How many keys a context has without extension keys. */
let coreKeys = 0

const isExtensionKey = (name: string): boolean => !/^(?:iopa|server|ssl)\.|^response$/.test(name)

/** The path of a resource below a path base: the root of a mount is the mount's own path. */
export const fullPath = (base: string, path: string): string => (path === '/' && base !== '' ? base : base + path)

/**
 * The context as a mounted handler sees it: path, path base, params, route and logger are its own, for as long as it keeps
 * the reference; every other key and method is that of the context. So neither side sees the path of the other, also
 * where both work at the same time, and a body generator or a disposer that runs later still has the inner path.
 */
class ContextView {
  // Fields with initial values are defined, where an assignment would go to the context.
  'iopa.Path' = '/'
  'iopa.PathBase' = ''
  'iopa.Params': Readonly<Record<string, string>> = NO_PARAMS
  'iopa.Route' = ''
  readonly [BEHIND]: RunContext
  readonly [RECORD]: AnswerRecord
  readonly #context: RunContext
  /** The view around this one, of the mount around its mount. */
  readonly #outer: ContextView | null
  #logger: Logger | null
  #segments: readonly string[] | null = null
  #segmentsOf = ''

  constructor(context: RunContext, prefix: string, logger: Logger | null) {
    this['iopa.Path'] = context['iopa.Path'].slice(prefix.length) || '/'
    this['iopa.PathBase'] = context['iopa.PathBase'] + prefix
    // A view of a view would pay for each level on each access.
    const isView = #context in context
    const behind: RunContext = isView ? context.#context : context
    this.#context = behind
    this[BEHIND] = behind
    this[RECORD] = behind[RECORD]
    this.#outer = isView ? (context as unknown as ContextView) : null
    this.#logger = logger ?? (isView ? context.#logger : null)
    const names = Object.keys(this.#context)
    // Most contexts have no extension keys, and all of those have as many keys.
    if (names.length === coreKeys) return
    const extensions = names.filter(isExtensionKey)
    coreKeys = names.length - extensions.length
    for (const name of extensions) this.#mirror(name)
  }

  /** Makes an extension key one of the view's own, for `in` and `Object.keys`. */
  #mirror(name: string): void {
    if (Object.hasOwn(this, name)) return
    Object.defineProperty(this, name, {
      get: () => (this.#context as unknown as Record<string, unknown>)[name],
      set: (value: unknown) => {
        ;(this.#context as unknown as Record<string, unknown>)[name] = value
      },
      enumerable: true,
      configurable: true
    })
  }

  get response(): Answer {
    return this.#context.response
  }
  set response(answer: unknown) {
    ;(this.#context as { response: unknown }).response = answer
  }

  get 'iopa.PathSegments'(): readonly string[] {
    const path = this['iopa.Path']
    if (this.#segments === null || this.#segmentsOf !== path) {
      this.#segmentsOf = path
      this.#segments = segmentsOf(path)
    }
    return this.#segments
  }

  get 'server.Logger'(): Logger {
    return this.#logger ?? this.#context['server.Logger']
  }
  set 'server.Logger'(logger: Logger) {
    if (this.#logger === null) (this.#context as { 'server.Logger': Logger })['server.Logger'] = logger
    else this.#logger = logger
  }

  /** A context within this one, whose path is this view's path followed by `path`. @throws IopaError 400 for an illegal path. */
  child(path: string, method = 'GET'): RunContext {
    const own = this['iopa.Path']
    const base = own.endsWith('/') ? own.slice(0, -1) : own
    const full = checkPath(path === '' ? base || '/' : path.startsWith('/') ? base + path : `${base}/${path}`)
    const child = this.#context.child('', method)
    child['iopa.Path'] = full
    child['iopa.PathBase'] = this['iopa.PathBase']
    child['server.RawPath'] = full
    return child
  }

  /** Tells the observers of `path`, which is a path of the mounted app. @throws IopaError 400 for an illegal path. */
  notify(path: string): void {
    try {
      this.#context.assertLive()
      this.#context.environment.notify(fullPath(this['iopa.PathBase'], checkPath(path)), this.#context)
    } catch (error) {
      // As for the context itself: the peer has not asked for this path.
      throw withOrigin(error, 'internal')
    }
  }

  /** The view, or the context, around this one. */
  static outerOf(context: RunContext): RunContext | null {
    return #context in context ? ((context.#outer ?? context.#context) as RunContext) : null
  }

  static {
    const view = ContextView.prototype as unknown as Record<string | symbol, unknown>
    addAliases(view)
    const methods = MEMBERS
    for (const name of Reflect.ownKeys(methods)) {
      if (Object.hasOwn(view, name)) continue
      const { value, set } = Object.getOwnPropertyDescriptor(methods, name) as PropertyDescriptor
      if (typeof value === 'function') define(view, name, { value: forwarded(name) })
      else if (value !== undefined) define(view, name, { value })
      else define(view, name, set === undefined ? { get: getter(name) } : { get: getter(name), set: setter(name) })
    }
    for (const name of CORE_KEYS) if (!OWN_KEYS.has(name)) define(view, name, { get: getter(name), set: setter(name) })
    // Extension keys have any name: what the view does not have is read from the context, and written to it.
    Object.setPrototypeOf(
      view,
      new Proxy(Object.create(null) as object, {
        get: (_, name, receiver: object) =>
          #context in receiver ? (receiver.#context as unknown as Record<string | symbol, unknown>)[name] : undefined,
        set: (_, name, value, receiver: object) => {
          if (!(#context in receiver)) return false
          ;(receiver.#context as unknown as Record<string | symbol, unknown>)[name] = value
          if (typeof name === 'string') for (let at: ContextView | null = receiver as ContextView; at !== null; at = at.#outer) at.#mirror(name)
          return true
        }
      })
    )

    function getter(name: string | symbol) {
      return function (this: ContextView): unknown {
        return (this.#context as unknown as Record<string | symbol, unknown>)[name]
      }
    }
    function setter(name: string | symbol) {
      return function (this: ContextView, value: unknown): void {
        ;(this.#context as unknown as Record<string | symbol, unknown>)[name] = value
      }
    }
    function forwarded(name: string | symbol) {
      return function (this: ContextView, ...values: unknown[]): unknown {
        return (this.#context as unknown as Record<string | symbol, (...values: unknown[]) => unknown>)[name]?.(...values)
      }
    }
    function define(on: object, name: string | symbol, descriptor: PropertyDescriptor): void {
      Object.defineProperty(on, name, { ...descriptor, enumerable: false, configurable: true })
    }
  }
}

/** The context as the app mounted at `prefix` sees it; what is logged there goes to `logger`, where there is one. */
export const viewOf = (context: RunContext, prefix: string, logger: Logger | null): RunContext =>
  new ContextView(context, prefix, logger) as unknown as RunContext

/** True where the path is the path base itself, without a slash after it: relative links would lead out of the mount. */
export const isMountPath = (context: Context): boolean => {
  const outer = ContextView.outerOf(context as RunContext)
  return outer !== null && context['iopa.Path'] === '/' && outer['iopa.PathBase'] + outer['iopa.Path'] === context['iopa.PathBase']
}
