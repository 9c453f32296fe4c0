import { createHash } from 'node:crypto'
import { type Context, defineMiddleware, type Next } from '@iopa/appbuilder'
import { markFactory } from '@iopa/appbuilder/extension'
import { contextOf, preview, RECORD, type RunContext } from '@iopa/context/host'
import { tagOfDigest } from '@iopa/transport'

/** What `etag` and `cacheControl` make. */
export type CacheMiddleware = ReturnType<typeof defineMiddleware<never, never>>

/**
 * Middleware that gives answers to GET and HEAD an entity tag of their content, where that is in memory and has none. The core judges the preconditions
 * of later requests by it, and answers 304, or 2.03 over CoAP. The tag is the one that the core makes of a content for a request that names tags.
 */
export const etag = (): CacheMiddleware =>
  defineMiddleware({ name: 'etag' }, (context, next) => {
    const method = context['iopa.Method']
    return method === 'GET' || method === 'HEAD' ? tagged(context, next) : next()
  })

markFactory('etag', etag)

const tagged = async (context: Context, next: Next): Promise<unknown> => {
  const value = await next()
  const answer = contextOf(context as RunContext)[RECORD]
  if (answer.status !== 200 || answer.content === undefined || answer.sealed || answer.headers.has('etag')) return value
  if (isStream(answer.content)) return value
  const { payload, type } = preview(answer)
  answer.type = type
  if (payload !== answer.content) answer.body = payload
  if (typeof payload === 'string' || payload instanceof Uint8Array) answer.headers.set('etag', tagOf(payload))
  return value
}

/** True for a body that is read piece by piece. */
export const isStream = (body: unknown): boolean =>
  typeof body === 'object' &&
  body !== null &&
  !(body instanceof Uint8Array) &&
  (Symbol.asyncIterator in body || 'getReader' in body || 'arrayBuffer' in body)

/** As `contentTag` of the core, by the digest of the platform. */
const tagOf = (content: string | Uint8Array): string => `"${tagOfDigest(createHash('sha256').update(content).digest())}"`
