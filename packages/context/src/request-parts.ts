import {
  type Body,
  type Capabilities,
  type CodecTable,
  decodeText,
  type HeaderFields,
  type HeadersInit,
  IopaError,
  type Logger,
  type Trailers
} from '@iopa/constants'
import { checkJsonType, decodeJson, readBody, readText, UNCOUNTED } from './body.ts'
import { ByteBody, byteBody, plainBytes } from './byte-body.ts'
import { checkCoding } from './charset.ts'
import type { RequestSource } from './context-init.ts'
import type { Endpoint } from './endpoint.ts'
import { HeaderMap } from './header-map.ts'
import type { BodyHolder } from './held-bytes.ts'
import { observed } from './observed.ts'
import type { Scope } from './scope.ts'
import { SCOPE } from './slots.ts'
import { parseAuthority } from './url.ts'

/** A context whose body is read: it must live still. */
interface BodyReader extends BodyHolder {
  readonly [SCOPE]: Scope
}

/** Bytes of a text that is decoded without being counted. */
const SHORT_TEXT = UNCOUNTED / 2

/** Of a protocol that has none. */
const NO_TRAILERS: Trailers = {
  get received(): HeaderFields {
    return new HeaderMap()
  },
  set: () => false
}

/** What of a request is made only when it is asked for: headers, body, authority, and keys that few requests use. */
export class RequestParts {
  readonly #source: RequestSource | null
  readonly #endpoint: Endpoint
  #headers: HeaderFields | null = null
  #contentType: string | undefined = undefined
  /** The body as it came; undefined until it is asked for. */
  #body: Body | undefined
  #bytes: Uint8Array | Promise<Uint8Array> | null = null
  #json: Promise<unknown> | null = null
  host: string | undefined = undefined
  port: number | undefined = undefined
  #segments: readonly string[] | null = null
  #segmentsOf = ''
  capabilities: Capabilities | null = null
  events: EventTarget | null = null
  timestamp = 0
  input: unknown = undefined
  logger: Logger | null = null
  isPrecondition = false
  /** The path base of the context in which a child was made. */
  requestedBase = ''

  /** `body` is the body where it has been taken from `source` already. */
  constructor(source: RequestSource | null, endpoint: Endpoint, body: Body | undefined) {
    this.#source = source
    this.#endpoint = endpoint
    this.#body = body
  }

  /** True once the headers have been made. */
  get hasHeaders(): boolean {
    return this.#headers !== null
  }

  /** @throws IopaError 500 */
  inform(status: number, headers: HeadersInit): boolean {
    // 100 and 101 are those of the protocol.
    if (!Number.isInteger(status) || status < 102 || status > 199)
      throw new IopaError(500, 'bad-status', `An informational answer has a status from 102 to 199, not ${status}.`)
    return this.#source?.inform?.(status, [...HeaderMap.from(headers).pairs()]) ?? false
  }

  get trailers(): Trailers {
    return this.#source?.trailers?.() ?? NO_TRAILERS
  }

  get headers(): HeaderFields {
    if (this.#headers === null) {
      const given = this.#source?.headers?.()
      this.#headers = given === undefined ? new HeaderMap() : Array.isArray(given) ? new HeaderMap(given) : given
    }
    return this.#headers
  }
  set headers(headers: HeadersInit) {
    // A copy: a middleware that edits the request must not edit what its caller keeps.
    this.#headers = HeaderMap.from(headers)
    this.#contentType = undefined
  }

  get contentType(): string {
    if (this.#contentType === undefined) {
      if (this.#isHeaderless) return ''
      this.#contentType = this.#source?.contentType?.() ?? this.headers.get('content-type') ?? ''
    }
    return this.#contentType
  }
  set contentType(type: string) {
    this.#contentType = type
  }

  /** The segments of `path`, remembered until another path is asked for. */
  segments(path: string): readonly string[] {
    if (this.#segments === null || this.#segmentsOf !== path) {
      this.#segmentsOf = path
      this.#segments = segmentsOf(path)
    }
    return this.#segments
  }

  get body(): AsyncIterable<Uint8Array> | null {
    const body = this.#unread
    if (!(body instanceof Uint8Array) || body instanceof ByteBody) return body
    // Bytes that have been read stay plain.
    return (this.#body = byteBody(body))
  }
  set body(body: Body) {
    this.#body = body
    this.#bytes = null
    this.#json = null
  }

  /** The body as it came, or the bytes that were read of it. */
  get #unread(): Body {
    if (this.#bytes instanceof Uint8Array && !(this.#body instanceof ByteBody)) return this.#bytes
    if (this.#body === undefined) this.#body = this.#source?.body?.() ?? null
    return this.#body
  }

  /** The whole body, read once; `holder` is the context. */
  bytes(holder: BodyReader): Promise<Uint8Array> {
    try {
      const bytes = this.#read(holder, this.#isHeaderless)
      // What is read stays plain.
      return Promise.resolve(bytes instanceof ByteBody ? (this.#bytes = plainBytes(bytes)) : bytes)
    } catch (error) {
      return observed(Promise.reject(error))
    }
  }

  text(holder: BodyReader): Promise<string> {
    try {
      const headerless = this.#isHeaderless
      const bytes = this.#read(holder, headerless)
      if (!(bytes instanceof Uint8Array)) return observed(bytes.then(whole => readText(whole, this.contentType, holder)))
      if (headerless && bytes.length <= SHORT_TEXT) return Promise.resolve(decodeText(bytes))
      return Promise.resolve(readText(bytes, this.contentType, holder))
    } catch (error) {
      return observed(Promise.reject(error))
    }
  }

  /** The body in memory, or a promise of it; remembered. @throws IopaError 413, 415, 500, 503 */
  #read(holder: BodyReader, headerless: boolean): Uint8Array | Promise<Uint8Array> {
    if (this.#bytes !== null) return this.#bytes
    const scope = holder[SCOPE]
    if (scope.ended) scope.assertLive()
    const body = this.#unread
    if (body !== null && !headerless) checkCoding(this.headers.get('content-encoding'))
    const limit = this.#endpoint.bodyLimit
    const isShort = body instanceof Uint8Array && body.length <= UNCOUNTED && body.length <= limit
    const bytes = isShort ? body : readBody(body, limit, holder)
    this.#bytes = bytes
    if (!(bytes instanceof Uint8Array)) {
      // A later reader gets the same outcome; the first one handles the failure.
      bytes.then(
        // Another body may have been set meanwhile.
        whole => void (this.#bytes === bytes && (this.#bytes = whole)),
        () => undefined
      )
    }
    return bytes
  }

  /** True when there are no headers and no content type, neither of the request nor set by middleware. */
  get #isHeaderless(): boolean {
    return this.#source?.headerless === true && this.#headers === null && this.#contentType === undefined
  }

  json(holder: BodyReader, codecs: CodecTable): Promise<unknown> {
    if (this.#json === null) {
      const type = this.contentType
      try {
        checkJsonType(type, codecs)
      } catch (error) {
        return observed(Promise.reject(error))
      }
      this.#json = observed(this.bytes(holder).then(bytes => decodeJson(bytes, type, codecs, holder)))
    }
    return this.#json
  }

  /** What `json()` gives, for a body that is in memory and not long; undefined where that must be awaited, or fails. */
  jsonInMemory(holder: BodyReader, codecs: CodecTable): unknown {
    if (this.#json !== null) return undefined
    try {
      const type = this.contentType
      checkJsonType(type, codecs)
      const bytes = this.#read(holder, this.#isHeaderless)
      if (!(bytes instanceof Uint8Array) || bytes.length > UNCOUNTED) return undefined
      const value = decodeJson(bytes, type, codecs, holder)
      this.#json = Promise.resolve(value)
      return value
    } catch {
      return undefined
    }
  }

  /** Host and port as the peer addressedAs them; those of the endpoint where it named none. */
  readAuthority(scheme: string): void {
    const addressedAs = this.#source?.addressedAs
    if (addressedAs !== undefined) {
      this.host ??= addressedAs['iopa.Host']
      this.port ??= addressedAs['iopa.Port']
      return
    }
    const authority = this.#source?.authority?.() ?? ''
    const parsed = authority === '' ? null : parseAuthority(authority, scheme)
    this.host ??= parsed?.host ?? this.#endpoint.localAddress
    this.port ??= parsed?.port ?? this.#endpoint.localPort
  }
}

/** The segments of a canonical path. */
export const segmentsOf = (path: string): readonly string[] => (path === '/' || path === '' ? [] : path.slice(1).split('/'))
