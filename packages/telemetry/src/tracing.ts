import type { Context } from '@iopa/appbuilder'
import type { AppHandle } from '@iopa/appbuilder/extension'
import type { TextMapPropagator, Tracer } from '@opentelemetry/api'
import type { Protocols } from './protocols.ts'

/** What spans are made with. */
export interface Tracing {
  readonly tracer: Tracer
  readonly propagator: TextMapPropagator | undefined
  readonly ignore: ((context: Context) => boolean) | undefined
  readonly trusts: (context: Context) => boolean
  readonly protocols: Protocols
  readonly handle: AppHandle | undefined
  /** Says what the SDK threw, which is no matter of the request. */
  failed(error: unknown): void
}
