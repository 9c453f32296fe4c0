/**
 * The IOPA context: one property bag for every protocol, with an answer, headers, a body, and a scope that ends once.
 *
 * @example
 * const factory = new ContextFactory(environment)
 * await using context = factory.promote({ 'iopa.Method': 'GET', 'iopa.Path': '/lights/hall' })
 * context.defer(() => console.log('over'))
 */

export type { EndReason } from './abort-reasons.ts'
export { abortReason } from './abort-reasons.ts'
export { abortable } from './abortable.ts'
export { Answer } from './answer.ts'
export type { AnswerOwner, Excerpt, NotedMethods, ReceivedParts } from './answer-parts.ts'
export { applyValue } from './apply-value.ts'
export { checkBag } from './bag-check.ts'
export type { BodyStream } from './body.ts'
export { bodyTooLarge, collectBytes, concatBytes, holdBytes, readBody } from './body.ts'
export { byteBody } from './byte-body.ts'
export { PropertyBag } from './context.ts'
export type { ContextInit, RequestSource } from './context-init.ts'
export type { BaseContext, Context } from './context-types.ts'
export { ContextView, fullPath } from './context-view.ts'
export type { Encoded, Payload } from './encoding.ts'
export { encodeBody } from './encoding.ts'
export type { Endpoint, InheritedKeys } from './endpoint.ts'
export { isLoopback, localEndpoint } from './endpoint.ts'
export type { BodyHolder, ChangeOrder, Environment, HeldBytes } from './environment.ts'
export { ContextFactory, isContext } from './factory.ts'
export { assignHeaders, HeaderMap } from './header-map.ts'
export { abandonValue } from './held-bodies.ts'
export type { PathLimits } from './path.ts'
export { checkPath, decodePath, encodePath, joinPath } from './path.ts'
export { hasPreconditionField } from './precondition-fields.ts'
export type { Problem } from './problem.ts'
export { problemOf } from './problem.ts'
export { READ, Reads, readsOf, TrackedHeaders, trackReads } from './reads.ts'
export type { Reply } from './reply.ts'
export { isReply, reply } from './reply.ts'
export { report } from './report.ts'
export type { Owned } from './scope.ts'
export { Scope } from './scope.ts'
export type { SendingCallback } from './sending-callbacks.ts'
export type { UrlParts } from './url.ts'
export { formatUrl, parseAuthority, parseUrl } from './url.ts'
