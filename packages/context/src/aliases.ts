import type { HeaderFields, Logger, User } from '@iopa/constants'
import type { BaseContext, Context } from './context.ts'
import type { Peer } from './peer.ts'
import { formatUrl } from './url.ts'

/** The aliases: live mirrors of keys. Each is written out, for a getter that all of them shared would cost many times as much. */
const aliases: ThisType<BaseContext> = {
  get connection(): Context | null {
    return this['server.Connection']
  },
  get peer(): Peer | undefined {
    return this['server.Peer']
  },
  get id(): number {
    return this['iopa.Id']
  },
  get method(): string {
    return this['iopa.Method']
  },
  set method(method: string) {
    this['iopa.Method'] = method
  },
  get path(): string {
    return this['iopa.Path']
  },
  set path(path: string) {
    this['iopa.Path'] = path
  },
  get pathBase(): string {
    return this['iopa.PathBase']
  },
  set pathBase(path: string) {
    this['iopa.PathBase'] = path
  },
  get segments(): readonly string[] {
    return this['iopa.PathSegments']
  },
  get params(): Readonly<Record<string, string>> {
    return this['iopa.Params']
  },
  set params(params: Readonly<Record<string, string>>) {
    this['iopa.Params'] = params
  },
  get route(): string {
    return this['iopa.Route']
  },
  /** The query string parsed (WHATWG URL section 5.1); a fresh object on each read. */
  get query(): URLSearchParams {
    return new URLSearchParams(this['iopa.QueryString'])
  },
  get headers(): HeaderFields {
    return this['iopa.Headers']
  },
  get type(): string {
    return this['iopa.ContentType']
  },
  get body(): AsyncIterable<Uint8Array> | null {
    return this['iopa.Body']
  },
  get input(): unknown {
    return this['iopa.Input']
  },
  set input(input: unknown) {
    this['iopa.Input'] = input
  },
  get scheme(): string {
    return this['iopa.Scheme']
  },
  get protocol(): string {
    return this['iopa.Protocol']
  },
  get host(): string {
    return this['iopa.Host']
  },
  get port(): number {
    return this['iopa.Port']
  },
  get observe(): boolean | undefined {
    return this['iopa.Observe']
  },
  get user(): User | undefined {
    return this['server.User']
  },
  set user(user: User | undefined) {
    this['server.User'] = user
  },
  get logger(): Logger {
    return this['server.Logger']
  },
  get remoteAddress(): string {
    return this['server.RemoteAddress']
  },
  get remotePort(): number {
    return this['server.RemotePort']
  },
  /** The request's URL, rebuilt from scheme, host, port, path base, path and query. */
  get url(): string {
    const path = this['iopa.PathBase'] + this['iopa.Path']
    return formatUrl(this['iopa.Scheme'], this['iopa.Host'], this['iopa.Port'], path, this['iopa.QueryString'])
  }
}

/** Puts the aliases on the prototype of the property bag. */
export const addAliases = (prototype: object): void => {
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(aliases))) {
    Object.defineProperty(prototype, name, { ...descriptor, enumerable: false })
  }
}
