import { IopaError } from '@iopa/constants'
import type { MiddlewareFunction, MiddlewareObject } from '../pipeline/middleware.ts'
import type { RouteInfo, Transport } from '../transport/transport.ts'
import type { Extension } from './app-types.ts'
import { type DeclaredEntry, declarationsOf } from './declarations.ts'

/** One entry of a pipeline, of whatever form it was given in. */
export interface PipelineEntry extends DeclaredEntry {
  readonly invoke: MiddlewareFunction | undefined
  readonly dispatch: MiddlewareFunction | undefined
  readonly routes: (() => Iterable<RouteInfo>) | undefined
}

type Constructor = new (app: unknown, ...options: readonly unknown[]) => MiddlewareObject

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

export const isTransport = (value: unknown): value is Transport =>
  isObject(value) && Array.isArray(value['schemes']) && typeof value['listen'] === 'function' && typeof value['connect'] === 'function'

export const isExtension = (value: unknown): value is Extension<object> => isObject(value) && typeof value['extend'] === 'function'

/** A class is told by its prototype's methods, never by its source text or the number of its parameters. */
const isMiddlewareClass = (value: unknown): value is Constructor =>
  typeof value === 'function' &&
  isObject(value.prototype) &&
  (typeof (value.prototype as MiddlewareObject).invoke === 'function' || typeof (value.prototype as MiddlewareObject).dispatch === 'function')

/**
 * The entry that a function, an object or a class makes; a class is constructed here, once.
 * @throws IopaError 500 for anything else.
 */
export const entryOf = (value: unknown, position: number, app: unknown, options: readonly unknown[]): PipelineEntry => {
  if (isMiddlewareClass(value)) {
    const instance = new value(app, ...options)
    const statics = declarationsOf(value, value.name || `middleware ${position}`)
    return { ...objectEntry(instance, statics.name), ...statics }
  }
  if (typeof value === 'function') {
    return { ...declarationsOf(value, `middleware ${position}`), invoke: value as MiddlewareFunction, dispatch: undefined, routes: undefined }
  }
  if (isObject(value)) return objectEntry(value as MiddlewareObject, `middleware ${position}`)
  throw new IopaError(
    500,
    'bad-middleware',
    'use() takes a function (context, next), an object or class with invoke or dispatch, an extension, or a transport.'
  )
}

const objectEntry = (object: MiddlewareObject, fallback: string): PipelineEntry => {
  if (typeof object.invoke !== 'function' && typeof object.dispatch !== 'function' && !isExtension(object)) {
    throw new IopaError(500, 'bad-middleware', `'${fallback}' has neither invoke nor dispatch; name its pipeline 'invoke' or 'dispatch'.`)
  }
  const routes = (object as Partial<Extension<object>>).routes
  return {
    ...declarationsOf(object, fallback),
    invoke: typeof object.invoke === 'function' ? (context, next) => object.invoke?.(context, next) : undefined,
    dispatch: typeof object.dispatch === 'function' ? (context, next) => object.dispatch?.(context, next) : undefined,
    routes: typeof routes === 'function' ? () => routes.call(object) : undefined
  }
}
