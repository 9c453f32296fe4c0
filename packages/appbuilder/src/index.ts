/**
 * The AppBuilder of IOPA: one pipeline for every protocol, with observation and clients. This is what an app needs; authors of
 * routers and other extensions find the rest in `@iopa/appbuilder/extension`, authors of transports in `@iopa/transport`.
 *
 * @example
 * const app = new App().use(router()).use(http({ port: 8080 }))
 * app.get('/hello', () => 'Hello World')
 * await app.listen()
 */

export type { Bag, Logger, User } from '@iopa/constants'
export { defineKeys, IopaError, isIopaError } from '@iopa/constants'
export type { Answer, Context, ReceivedAnswer, Reply } from '@iopa/context'
export { reply } from '@iopa/context'
export type { Client, ConnectOptions, Counts, Limits, Peer, PeerClientOptions, RequestOptions, TlsOptions, Transport } from '@iopa/transport'
export { App, App as AppBuilder } from './app/app.ts'
export type { IopaKeys } from './app/app-keys.ts'
export type { ObserveOptions } from './app/app-observations.ts'
export type { AppOptions } from './app/app-options.ts'
export type { Explanation } from './app/explain.ts'
export type { RouteAttributes } from './app/route-attributes.ts'
export type { MiddlewareFunction, MiddlewareObject, Next } from './pipeline/middleware.ts'
export { defineMiddleware } from './pipeline/middleware.ts'
