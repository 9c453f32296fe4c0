import type { Body, Capabilities, CodecTable, HeaderFields, HeadersInit, Logger } from '@iopa/constants'
import { checkJsonType, decodeJson, readBody, readText } from './body.ts'
import { ByteBody, byteBody, plainBytes } from './byte-body.ts'
import { checkCoding } from './charset.ts'
import type { RequestSource } from './context-init.ts'
import type { Endpoint } from './endpoint.ts'
import { HeaderMap } from './header-map.ts'
import type { BodyHolder } from './held-bytes.ts'
import { observed } from './observed.ts'
import { parseAuthority } from './url.ts'

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
    return (this.#contentType ??= this.#source?.contentType?.() ?? this.headers.get('content-type') ?? '')
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

  /** The whole body, read once; `holder` is the context, which must live still. */
  bytes(holder: BodyHolder & { assertLive(): void }): Promise<Uint8Array> {
    if (this.#bytes === null) {
      try {
        holder.assertLive()
        const body = this.#unread
        if (body !== null) checkCoding(this.headers.get('content-encoding'))
        const read = readBody(body, this.#endpoint.bodyLimit, holder)
        if (read instanceof Uint8Array) this.#bytes = plainBytes(read)
        else {
          this.#bytes = read
          // A later reader gets the same outcome; the first one handles the failure.
          read.then(
            // Another body may have been set meanwhile.
            bytes => void (this.#bytes === read && (this.#bytes = bytes)),
            () => undefined
          )
        }
      } catch (error) {
        return observed(Promise.reject(error))
      }
    }
    return Promise.resolve(this.#bytes)
  }

  text(holder: BodyHolder & { assertLive(): void }): Promise<string> {
    return observed(this.bytes(holder).then(bytes => readText(bytes, this.contentType, holder)))
  }

  json(holder: BodyHolder & { assertLive(): void }, codecs: CodecTable): Promise<unknown> {
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
