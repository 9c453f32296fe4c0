/**
 * The IOPA context: one property bag for every protocol, with an answer, headers, a body, and a scope that ends once. This is what handlers and
 * middleware see; `@iopa/context/host` has what makes and runs contexts.
 *
 * @example
 * const show = (context: Context) => {
 *   context.defer(() => console.log('over'))
 *   return reply(200, { path: context.path })
 * }
 */

export type { EndReason } from './abort-reasons.ts'
export type { Answer, Excerpt, LinkAnswer, ReceivedAnswer, SealedAnswer, SealedHeaders } from './answer.ts'
export type { Client, RequestOptions } from './client.ts'
export type { BaseContext, Context, Owned } from './context.ts'
export type { Payload } from './payload-stream.ts'
export type { Peer, PeerClientOptions } from './peer.ts'
export type { Problem } from './problem.ts'
export type { Reply } from './reply.ts'
export { isReply, reply } from './reply.ts'
export type { SendingCallback } from './sending-callbacks.ts'
