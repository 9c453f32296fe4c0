import type { EndReason } from './abort-reasons.ts'
import type { Answer, SealedAnswer } from './answer.ts'
import type { BaseContext } from './context.ts'
import type { Endpoint } from './endpoint.ts'
import type { Environment } from './environment.ts'

/** The context as its owner has it, the transport that made it: the owner ends it, and writes its answer. Handlers see it as a `Context`. */
export interface OwnedContext extends BaseContext {
  /** The answer. An owner writes to it only where it answers by itself, without a run. */
  readonly response: Answer & SealedAnswer
  'server.ParentContext': OwnedContext | null
  readonly 'server.Connection': OwnedContext | null
  readonly connection: OwnedContext | null
  child(path: string, method?: string): OwnedContext
  /** What all contexts of the app share. */
  readonly environment: Environment
  /** The two ends of its connection. */
  readonly endpoint: Endpoint
  /** True when a header states a precondition (RFC 9110 section 13.1). */
  readonly hasPrecondition: boolean
  /** Ends the scope, once: when the answer has been written or abandoned. */
  end(reason?: EndReason): void | Promise<void>
  /** Makes a later `end('finish')` end for this reason instead. */
  planEnd(reason: EndReason): void
  /** Calls `listener` once when the end is asked for, also while it is put off. */
  onEndAsked(listener: () => void): void
  /** Throws when the context has ended. */
  assertLive(): void
}

/** A context whose run is done. */
export interface AnsweredContext extends Omit<OwnedContext, 'response'> {
  /** The answer, which nothing can change. */
  readonly response: SealedAnswer
}
