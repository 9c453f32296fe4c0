import { type Context, IopaError, type MiddlewareObject, type Next } from '@iopa/appbuilder'
import { markFactory } from '@iopa/appbuilder/extension'
import { contextOf, isHttp, preview, RECORD, type RunContext } from '@iopa/context/host'
import { isControlMethod } from '@iopa/transport'
import { CompressedBody } from './compressed-body.ts'
import { compressLater, compressNow, type Encoding } from './encoders.ts'
import { answeredTag, codedTag, plainTags } from './entity-tags.ts'
import { choices } from './negotiation.ts'
import { type CompressOptions, type CompressSettings, settingsOf } from './options.ts'

/** Bytes up to which a body is compressed at once: handing it to another thread costs more. */
const SMALL = 16 * 1024

/** Middleware that compresses answers of HTTP; on other protocols it does nothing. @throws IopaError 500 `bad-option`. */
export const compress = (options: CompressOptions = {}): MiddlewareObject & { readonly name: string } => new Compress(settingsOf(options, compress))

markFactory('compress', compress)

class Compress {
  readonly name = 'compress'
  readonly #settings: CompressSettings
  readonly #choose: ReturnType<typeof choices>
  #active = 0
  readonly #released = (): void => {
    this.#active--
  }

  constructor(settings: CompressSettings) {
    this.#settings = settings
    this.#choose = choices(settings.encodings)
  }

  invoke(context: Context, next: Next): unknown {
    // Nothing of the peer is read in the runs that observers share. A GET that judges a change needs the plain tag.
    if (context['iopa.Observe'] === true || context['server.IsNotification'] || context['server.IsPrecondition']) return next()
    if (!isHttp(context['iopa.Scheme']) || isControlMethod(context['iopa.Method'])) return next()
    const run = contextOf(context as RunContext)
    const asked = run.hasPrecondition ? plainTags(context.headers) : undefined
    // Preconditions have been judged by then, and all other middleware has had its say.
    context.response.onSendingHeaders(() => this.#answer(run, asked))
    return next()
  }

  #answer(context: RunContext, asked: string | undefined): void | Promise<void> {
    const answer = context[RECORD]
    const { status } = answer
    const fields = answer.headers
    if (status === 304) {
      addVary(context)
      const etag = fields.get('etag')
      if (asked !== undefined && etag !== undefined) fields.set('etag', answeredTag(asked, etag))
      return
    }
    // The handler of an event stream flushes by itself, and an observing request is answered by one.
    if (answer.content === undefined || context['iopa.Observe'] === true) return
    if (status === 204 || status === 205 || status === 206 || fields.has('content-encoding') || fields.has('content-range')) return
    // Digests are of the body as it was (RFC 9530 section 2).
    if (DIGESTS.some(name => fields.has(name))) return
    if (fields.getAll('cache-control').some(value => /(?:^|[\s,])no-transform(?:$|[\s,])/i.test(value))) return
    const { payload, type } = preview(answer)
    if (payload === null) return
    // What has been encoded is not encoded again; a generator can be asked once.
    if (payload !== answer.content) answer.body = payload
    answer.type = type
    if (/^text\/event-stream/i.test(type)) return
    const size = sizeOf(payload)
    const { encoding, plain } = this.#choose(context.headers.get('accept-encoding'))
    // A promise is no yes: what it would say may be that the answer has secrets.
    const suited = this.#settings.filter(context) === true && (size === null || size >= this.#settings.threshold)
    if (suited || !plain) addVary(context)
    const isRead = context['iopa.Method'] === 'GET' || context['iopa.Method'] === 'HEAD'
    if (encoding === undefined) {
      if (isRead && answer.ok && !plain) throw notAcceptable(this.#settings.encodings)
      return
    }
    // A part is asked for of the plain body (RFC 9110 section 14.2).
    if (encoding === 'identity' || (!suited && plain) || context.headers.has('range')) return
    if (this.#active >= this.#settings.concurrency) return
    fields.set('content-encoding', encoding)
    fields.delete('content-length')
    fields.delete('accept-ranges')
    const etag = fields.get('etag')
    if (etag !== undefined) fields.set('etag', codedTag(etag, encoding))
    return this.#compress(context, payload, encoding)
  }

  #compress(context: RunContext, payload: string | Uint8Array | AsyncIterable<Uint8Array>, encoding: Encoding): void | Promise<void> {
    const answer = context[RECORD]
    const level = this.#settings.level[encoding]
    // Its length is that of a body that is not made.
    if (context.requestedMethod === 'HEAD') {
      answer.body = UNSENT
      return
    }
    if (typeof payload !== 'string' && !(payload instanceof Uint8Array)) {
      this.#active++
      const body = new CompressedBody(payload, encoding, level, this.#released)
      // Also where nothing has begun to read it.
      context.defer(() => void body.return())
      answer.body = body
      return
    }
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    if (bytes.length <= SMALL) {
      answer.body = compressNow(encoding, level, bytes)
      return
    }
    this.#active++
    return compressLater(encoding, level, bytes)
      .then(compressed => {
        // A deadline may have answered meanwhile.
        if (!answer.sealed) answer.body = compressed
      })
      .finally(this.#released)
  }
}

const DIGESTS: readonly string[] = ['content-digest', 'repr-digest', 'digest', 'content-md5']

/** A body that is never read. */
const UNSENT: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) }) }

const notAcceptable = (encodings: readonly Encoding[]): IopaError =>
  new IopaError(406, 'encoding-not-acceptable', `Accept one of ${encodings.join(', ')}, identity.`, { headers: { vary: 'accept-encoding' } })

const sizeOf = (payload: string | Uint8Array | AsyncIterable<Uint8Array>): number | null => {
  if (typeof payload === 'string') return payload.length
  if (payload instanceof Uint8Array) return payload.length
  const { size } = payload as { readonly size?: unknown }
  return typeof size === 'number' ? size : null
}

/** Says to caches that Accept-Encoding has chosen (RFC 9110 section 12.5.5). */
const addVary = (context: RunContext): void => {
  const { headers } = context.response
  if (!headers.getAll('vary').some(field => /(?:^|[\s,])(?:accept-encoding|\*)(?:$|[\s,])/i.test(field))) headers.append('vary', 'accept-encoding')
}
