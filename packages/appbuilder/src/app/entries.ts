import type { RouteInfo, Transport } from '@iopa/transport'
import { argumentError, checkSurplus, factoryName, kindOf } from '@iopa/transport/host'
import type { MiddlewareFunction, MiddlewareObject } from '../pipeline/middleware.ts'
import type { Extension } from './app-types.ts'
import { type DeclaredEntry, declarationsOf } from './declarations.ts'
import { type NestedApp, nestedApp } from './nested-app.ts'

/** One entry of a pipeline, of whatever form it was given in. */
export interface PipelineEntry extends DeclaredEntry {
  readonly kind: 'use' | 'mount' | 'fork'
  /** How messages name it: `'auth'`, `mount('/admin')`. */
  readonly label: string
  /** Canonical; empty where it runs for every path. */
  readonly prefix: string
  /** The app that it runs, where it is one. */
  readonly app: NestedApp | null
  /** True for what answers requests by itself although it has no routes. */
  readonly answers: boolean
  readonly invoke: MiddlewareFunction | undefined
  readonly dispatch: MiddlewareFunction | undefined
  readonly routes: (() => Iterable<RouteInfo>) | undefined
}

/** True for middleware that says who is asking, or refuses. */
export const isGuard = ({ app, provides }: PipelineEntry): boolean => app === null && provides.includes('server.User')

type Constructor = new (app: unknown, ...options: readonly unknown[]) => MiddlewareObject

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

export const isTransport = (value: unknown): value is Transport =>
  isObject(value) && Array.isArray(value['schemes']) && typeof value['listen'] === 'function' && typeof value['open'] === 'function'

export const isExtension = (value: unknown): value is Extension<object> => isObject(value) && typeof value['extend'] === 'function'

/**
 * A class is recognised by the methods of its prototype, or by a prototype that cannot be replaced, which only `class`
 * makes (ECMA-262 section 15.7.14); never by its source text or the number of its parameters.
 */
const isClass = (value: unknown): value is Constructor => {
  if (typeof value !== 'function') return false
  const prototype: unknown = value.prototype
  if (!isObject(prototype)) return false
  if (typeof prototype['invoke'] === 'function' || typeof prototype['dispatch'] === 'function') return true
  return Object.getOwnPropertyDescriptor(value, 'prototype')?.writable === false
}

const FORMS = 'a function (context, next), an object or class with invoke or dispatch'

/** How and where an entry was registered. */
export interface EntryPlace {
  readonly kind: 'use' | 'mount'
  readonly prefix: string
  readonly position: number
  /** The function that was called, for the line of the call. */
  readonly caller: unknown
  readonly app: unknown
  readonly options: readonly unknown[]
}

/**
 * The entry that an app, a function, an object or a class makes; a class is constructed here, once.
 * @throws IopaError 500 for anything else, with the line of the call.
 */
export const entryOf = (value: unknown, at: EntryPlace): PipelineEntry => {
  const factory = factoryName(value)
  if (factory !== undefined)
    throw argumentError(at.caller, 'bad-middleware', `${at.kind}() was given the function ${factory} itself: call it, as in ${factory}().`)
  const place = { kind: at.kind, prefix: at.prefix }
  const label = (name: string): string => (at.kind === 'use' ? `'${name}'` : `mount('${at.prefix || '/'}')`)
  const app = nestedApp(value)
  if (app === undefined && isClass(value)) {
    const instance = new value(at.app, ...at.options)
    const statics = declarationsOf(value, value.name || `middleware ${at.position}`)
    return { ...objectEntry(instance, at, statics.name), ...statics, ...place, label: label(statics.name) }
  }
  checkSurplus(`${at.kind}()`, at.options, at.caller)
  const fallback = `middleware ${at.position}`
  if (app !== undefined) {
    const name = at.kind === 'use' ? `app ${at.position}` : `mount ${at.prefix || '/'}`
    return {
      ...declarationsOf({ requires: app.options.requires }, name),
      ...place,
      label: label(name),
      app,
      answers: false,
      invoke: app.pipelineWithin(false),
      dispatch: undefined,
      routes: undefined
    }
  }
  if (typeof value === 'function') {
    const declared = declarationsOf(value, fallback)
    return {
      ...declared,
      ...place,
      label: label(declared.name),
      app: null,
      answers: (at.kind === 'mount' && declared.permits === undefined) || (value as { answers?: unknown }).answers === true,
      invoke: value as MiddlewareFunction,
      dispatch: undefined,
      routes: undefined
    }
  }
  if (!isObject(value) || Array.isArray(value) || typeof value['then'] === 'function')
    throw argumentError(
      at.caller,
      'bad-middleware',
      at.kind === 'use'
        ? `use() takes ${FORMS}, an extension, a transport, or an app, not ${kindOf(value)}.`
        : `mount() takes an app, ${FORMS}, not ${kindOf(value)}.`
    )
  const entry = objectEntry(value as MiddlewareObject, at, fallback)
  return { ...entry, ...place, label: label(entry.name) }
}

const objectEntry = (object: MiddlewareObject, at: EntryPlace, fallback: string): Omit<PipelineEntry, 'kind' | 'prefix' | 'label'> => {
  if (typeof object.invoke !== 'function' && typeof object.dispatch !== 'function' && !isExtension(object)) {
    throw argumentError(at.caller, 'bad-middleware', `'${fallback}' has neither invoke nor dispatch; name its pipeline 'invoke' or 'dispatch'.`)
  }
  const routes = (object as Partial<Extension<object>>).routes
  return {
    ...declarationsOf(object, fallback),
    app: null,
    answers: typeof routes !== 'function' && (at.kind === 'mount' || (object as { answers?: unknown }).answers === true),
    invoke: typeof object.invoke === 'function' ? object.invoke.bind(object) : undefined,
    dispatch: typeof object.dispatch === 'function' ? object.dispatch.bind(object) : undefined,
    routes: typeof routes === 'function' ? () => routes.call(object) : undefined
  }
}
