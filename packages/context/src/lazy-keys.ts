import {
  type Capabilities,
  type HeaderFields,
  type HeadersInit,
  type Inform,
  IOPA_VERSION,
  type OnSendingHeaders,
  type Trailers
} from '@iopa/constants'
import type { EndReason } from './abort-reasons.ts'
import type { AnswerRecord } from './answer-record.ts'
import { copyCapabilities } from './capability-copy.ts'
import type { Endpoint } from './endpoint.ts'
import type { RequestParts } from './request-parts.ts'
import { PARTS, RECORD } from './slots.ts'

/** What the keys below read of a context. */
interface Bag {
  readonly 'iopa.Path': string
  readonly 'iopa.Scheme': string
  readonly 'server.ParentContext': Bag | null
  readonly signal: AbortSignal
  readonly endpoint: Endpoint
  readonly environment: { readonly capabilities: Capabilities; now(): number }
  /** Made when it is asked for. */
  readonly [PARTS]: RequestParts
  readonly [RECORD]: AnswerRecord
  defer(dispose: (reason: EndReason) => unknown): void
}

/** Keys that are made, or looked up, when they are asked for. Each is written out, for a getter that all of them shared would cost many times as much. */
const keys: ThisType<Bag> = {
  get 'iopa.Version'(): string {
    return IOPA_VERSION
  },

  get 'server.LocalAddress'(): string {
    return this.endpoint.localAddress
  },
  get 'server.LocalPort'(): number {
    return this.endpoint.localPort
  },
  get 'server.TLS'(): boolean {
    return this.endpoint.tls
  },
  get 'server.SessionId'(): string {
    return this.endpoint.sessionId
  },
  get 'server.RawTransport'(): unknown {
    return this.endpoint.rawTransport
  },
  get 'ssl.ClientCertificate'(): unknown {
    return this.endpoint.clientCertificate?.()
  },

  get 'iopa.PathSegments'(): readonly string[] {
    return this[PARTS].segments(this['iopa.Path'])
  },

  get 'iopa.Headers'(): HeaderFields {
    return this[PARTS].headers
  },
  set 'iopa.Headers'(headers: HeadersInit) {
    this[PARTS].headers = headers
  },

  get 'iopa.ContentType'(): string {
    return this[PARTS].contentType
  },
  set 'iopa.ContentType'(type: string) {
    this[PARTS].contentType = type
  },

  get 'iopa.Input'(): unknown {
    return this[PARTS].input
  },
  set 'iopa.Input'(input: unknown) {
    this[PARTS].input = input
  },

  get 'iopa.Host'(): string {
    const parts = this[PARTS]
    if (parts.host === undefined) parts.readAuthority(this['iopa.Scheme'])
    return parts.host as string
  },
  set 'iopa.Host'(host: string) {
    this[PARTS].host = host
  },

  get 'iopa.Port'(): number {
    const parts = this[PARTS]
    if (parts.port === undefined) parts.readAuthority(this['iopa.Scheme'])
    return parts.port as number
  },
  set 'iopa.Port'(port: number) {
    this[PARTS].port = port
  },

  get 'iopa.CallCancelled'(): AbortSignal {
    return this.signal
  },

  get 'iopa.Events'(): EventTarget {
    const parts = this[PARTS]
    if (parts.events === null) {
      const events = (parts.events = new EventTarget())
      this.defer(reason => void events.dispatchEvent(new Event(reason === 'finish' ? 'finish' : 'disconnect')))
    }
    return parts.events
  },

  get 'server.Capabilities'(): Capabilities {
    const parts = this[PARTS]
    if (parts.capabilities === null) {
      const above = this['server.ParentContext']
      const { capabilities } = this.environment
      parts.capabilities = copyCapabilities(above === null ? capabilities : (above[PARTS].capabilities ?? capabilities))
    }
    return parts.capabilities
  },
  set 'server.Capabilities'(capabilities: Capabilities) {
    this[PARTS].capabilities = capabilities
  },

  /** The time at which it was first asked for, for a clock costs as much as the rest of the context. */
  get 'server.Timestamp'(): number {
    const parts = this[PARTS]
    if (parts.timestamp === 0) parts.timestamp = this.environment.now()
    return parts.timestamp
  },
  set 'server.Timestamp'(time: number) {
    this[PARTS].timestamp = time
  },

  get 'server.OnSendingHeaders'(): OnSendingHeaders {
    return (callback, options) => this[RECORD].onSendingHeaders(callback, options)
  },

  get 'server.Inform'(): Inform {
    return (status, headers) => this[PARTS].inform(status, headers)
  },

  get 'server.Trailers'(): Trailers {
    return this[PARTS].trailers
  }
}

/** Puts the keys on the prototype of the property bag. */
export const addLazyKeys = (prototype: object): void => {
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(keys))) {
    Object.defineProperty(prototype, name, { ...descriptor, enumerable: false })
  }
}
