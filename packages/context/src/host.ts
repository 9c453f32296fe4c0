/**
 * The other side of `@iopa/context`: what the core and transports need to make contexts, run them and write their answers. Handlers and
 * middleware do not import it.
 */

export { abortReason } from './abort-reasons.ts'
export { abortable } from './abortable.ts'
export { addressGroup } from './address-group.ts'
export type {
  AnswerFields,
  AnswerOwner,
  AnswerState,
  EarlierState,
  NotedMethods,
  RareParts,
  ReceivedParts,
  ReceivedProblem
} from './answer-fields.ts'
export { OPEN, rareOf } from './answer-fields.ts'
export { AnswerRecord } from './answer-record.ts'
export { applyValue } from './apply-value.ts'
export { checkBag } from './bag-check.ts'
export type { BodyStream } from './body.ts'
export { bodyTooLarge, collectBytes, concatBytes, holdBytes, readBody } from './body.ts'
export { byteBody } from './byte-body.ts'
export type { ContextInit, RequestSource } from './context-init.ts'
export { fullPath, isMountPath, viewOf } from './context-view.ts'
export type { Encoded } from './encoding.ts'
export { encodeBody } from './encoding.ts'
export type { Endpoint, InheritedKeys } from './endpoint.ts'
export { isLoopback, localEndpoint } from './endpoint.ts'
export type { ChangeHost, ChangeOrder, ChangeTerms, Environment, EnvironmentClock } from './environment.ts'
export { ContextFactory, isContext } from './factory.ts'
export { assignHeaders, HeaderMap } from './header-map.ts'
export { abandonValue } from './held-bodies.ts'
export type { BodyHolder, HeldBytes } from './held-bytes.ts'
export { jsonInMemory } from './json-in-memory.ts'
export { isHttp, noteNegotiation } from './negotiation.ts'
export type { AnsweredContext, OwnedContext } from './owned-context.ts'
export type { PathLimits } from './path.ts'
export { checkPath, decodePath, encodePath, joinPath } from './path.ts'
export type { Payload, PayloadStream } from './payload-stream.ts'
export { hasPreconditionField } from './precondition-fields.ts'
export { problemOf } from './problem.ts'
export { createContext } from './property-bag.ts'
export { READ, Reads, readsOf, TrackedHeaders, trackReads } from './reads.ts'
export { handOver, receivedAnswer, useCodecs, whenRead, withPayload } from './received-answer.ts'
export { report } from './report.ts'
export type { RunContext } from './run-context.ts'
export { Scope } from './scope.ts'
export { beforeSealing, headReady, preview, refuseAnswer, sealAnswer } from './sealing.ts'
export { BEHIND, contextOf, RECORD, SCOPE } from './slots.ts'
export { answerToError, answerUnrun } from './unrun-answer.ts'
export { formatUrl, parseAuthority, parseUrl } from './url.ts'
export type { Kind } from './value-kind.ts'
export { KIND, kindOf } from './value-kind.ts'
export { valueType } from './value-type.ts'
