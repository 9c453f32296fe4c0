import type { Context, Endpoint, Host, RequestSource } from '@iopa/transport'
import type { UserProperties } from '../codec/packets.ts'
import type { Session } from './session.ts'
import type { Topic } from './topic-table.ts'

/** Headers that are known from the start: those of CONNECT, SUBSCRIBE, UNSUBSCRIBE. */
export class HeaderSource implements RequestSource {
  readonly #pairs: string[]

  constructor(pairs: string[]) {
    this.#pairs = pairs
  }

  headers(): string[] {
    return this.#pairs
  }
}

/** Makes the contexts of packets other than PUBLISH. */
export class Requests {
  readonly #host: Host

  constructor(host: Host) {
    this.#host = host
  }

  /** A control request: CONNECT, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT. */
  control(method: string, path: string, endpoint: Endpoint, source: RequestSource | null, parent?: Context): Context {
    const init = { method, path, query: '', rawPath: path, endpoint, source }
    return parent ? this.#host.create(init, parent) : this.#host.create(init)
  }

  /** A reading of a topic that observes it, in the name of a session; of a topic that no route may have, a SUBSCRIBE. */
  read(session: Session, topic: Topic): Context {
    const as = session.context
    const init = {
      method: topic.routable ? 'GET' : 'SUBSCRIBE',
      path: topic.path,
      query: '',
      rawPath: topic.path,
      endpoint: as.endpoint,
      source: session.source
    }
    const context = this.#host.create(init, as)
    context['iopa.Observe'] = true
    return context
  }

  /** Asks whether a session may have answers published to a topic. */
  reply(session: Session, topic: Topic): Context {
    return this.control('PUBLISH', topic.path, session.context.endpoint, session.source, session.context)
  }
}

// What a header name may be (RFC 9110 section 5.6.2) and a value may hold.
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const BAD_VALUE = /[\0\r\n]/

/** User properties as headers; names that no header may have are left out. */
export function headersOf(userProperties: UserProperties, reserved?: string): string[] {
  const pairs: string[] = []
  for (const [name, value] of userProperties) {
    if (NAME.test(name) && !BAD_VALUE.test(value) && name.toLowerCase() !== reserved) pairs.push(name.toLowerCase(), value)
  }
  return pairs
}

/**
 * The headers of a CONNECT: user name and password as Basic credentials, then the user properties. A user name with a colon has no form
 * as Basic credentials (RFC 7617 section 2): it would pass for another name with another password.
 */
export function connectHeaders(userName: string | null, password: Buffer | null, userProperties: UserProperties): string[] {
  const pairs = headersOf(userProperties, 'authorization')
  if ((userName === null && password === null) || userName?.includes(':')) return pairs
  const credentials = Buffer.concat([Buffer.from(`${userName ?? ''}:`), password ?? Buffer.alloc(0)]).toString('base64')
  return ['authorization', `Basic ${credentials}`, ...pairs]
}
